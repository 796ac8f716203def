//! Writes a plugin crate that builds and runs at once, wherever it lies.

use std::io;
use std::path::{Path, PathBuf};

use super::error::ScaffoldError;
use crate::names::{did_you_mean, list};
use crate::plugin::is_valid_part;

/// What to write.
#[derive(Clone, Debug)]
pub struct NewOptions {
    /// `lab/name`, or `name` for the lab `local`.
    pub name: String,
    /// Folder of the crate; `./<name>` when `None`. May exist, but must be empty.
    pub dir: Option<PathBuf>,
    pub like: Template,
    /// The checkout this binary was built from when `None`.
    pub sdk: Option<Sdk>,
}

/// What the new method starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Template {
    /// The smallest learner.
    #[default]
    Blank,
    Er,
    Derpp,
}

/// The SDK a crate depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sdk {
    /// Folder of the crate `perdura-sdk`, or of a checkout.
    Path(PathBuf),
    /// Requirement on a published version.
    Version(String),
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    pub dir: PathBuf,
    pub id: String,
    pub crate_name: String,
}

/// Writes the crate.
pub fn new(options: &NewOptions) -> Result<Created, ScaffoldError> {
    let names = Names::of(&options.name)?;
    let dir = options.dir.clone().unwrap_or_else(|| PathBuf::from(&names.name));
    if std::fs::read_dir(&dir).map_or(dir.exists(), |mut entries| entries.next().is_some()) {
        return Err(ScaffoldError::NotEmpty { path: dir });
    }
    let sdk = options.sdk.clone().unwrap_or_else(Sdk::of_this_build).resolved()?;
    let dependencies = sdk.dependencies(options.like);
    let render = |text: &str| names.render(&text.replace("{{dependencies}}", &dependencies));
    write(&dir.join("Cargo.toml"), &render(include_str!("templates/Cargo.toml.template")))?;
    write(&dir.join("src/lib.rs"), &render(options.like.source()))?;
    write(&dir.join("README.md"), &render(include_str!("templates/README.md.template")))?;
    write(&dir.join(".gitignore"), include_str!("templates/gitignore"))?;
    write(&dir.join("rustfmt.toml"), include_str!("templates/rustfmt.toml"))?;
    if let Some(lock) = sdk.lock_file() {
        write(&dir.join("Cargo.lock"), &lock)?;
    }
    Ok(Created { dir, id: names.id(), crate_name: names.crate_name() })
}

impl Template {
    pub const NAMES: [&'static str; 3] = ["blank", "er", "derpp"];

    /// Whether it starts from a network, and so from burn, whose first build takes minutes.
    pub fn has_network(self) -> bool {
        self != Template::Blank
    }

    fn source(self) -> &'static str {
        match self {
            Template::Blank => include_str!("templates/blank.rs"),
            Template::Er => include_str!("templates/er.rs"),
            Template::Derpp => include_str!("templates/derpp.rs"),
        }
    }
}

impl std::str::FromStr for Template {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "blank" => Ok(Template::Blank),
            "er" => Ok(Template::Er),
            "derpp" => Ok(Template::Derpp),
            _ => Err(format!(
                "--like `{name}` is unknown{}; there are: {}",
                did_you_mean(name, &Template::NAMES),
                list(&Template::NAMES)
            )),
        }
    }
}

impl Sdk {
    /// A version if it looks like one and there is no such folder, else a path.
    pub fn parse(text: &str) -> Self {
        let looks_like_version =
            text.starts_with(|c: char| c.is_ascii_digit() || "^~=".contains(c));
        match looks_like_version && !Path::new(text).exists() {
            true => Sdk::Version(text.into()),
            false => Sdk::Path(text.into()),
        }
    }

    fn of_this_build() -> Self {
        Sdk::Path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk"))
    }

    /// With the absolute path of the crate `perdura-sdk`.
    fn resolved(self) -> Result<Self, ScaffoldError> {
        let Sdk::Path(path) = self else { return Ok(self) };
        let is_sdk = |dir: &PathBuf| {
            let manifest = std::fs::read_to_string(dir.join("Cargo.toml")).unwrap_or_default();
            manifest.contains("name = \"perdura-sdk\"")
        };
        [path.clone(), path.join("sdk")]
            .into_iter()
            .find(is_sdk)
            .and_then(|dir| dir.canonicalize().ok())
            .map(Sdk::Path)
            .ok_or(ScaffoldError::NoSdk { path })
    }

    /// Lines of the table `[dependencies]`.
    fn dependencies(&self, template: Template) -> String {
        let quoted = |text: &str| toml::Value::String(text.into());
        let (sdk, nn) = match self {
            Sdk::Version(version) => (quoted(version), quoted(version)),
            Sdk::Path(path) => {
                let at = |path: &Path| {
                    let path = path.display().to_string();
                    toml::Value::Table([("path".to_owned(), path.into())].into_iter().collect())
                };
                (at(path), at(&path.join("nn")))
            }
        };
        match template.has_network() {
            false => format!("perdura-sdk = {sdk}"),
            true => format!("perdura-sdk = {sdk}\nperdura-nn = {nn}\nburn = {}", self.burn()),
        }
    }

    /// The SDK's own requirement of burn: with another version or other features the plugin's tensors
    /// would not be those of perdura-nn, or burn would be compiled a second time.
    fn burn(&self) -> toml::Value {
        let of_this_build = || include_str!("../../../Cargo.toml").to_owned();
        let manifest = match self {
            Sdk::Path(path) => std::fs::read_to_string(path.join("../Cargo.toml")).ok(),
            Sdk::Version(_) => None,
        };
        let burn = |text: &str| {
            let manifest: toml::Table = text.parse().ok()?;
            manifest.get("workspace")?.get("dependencies")?.get("burn").cloned()
        };
        let found = manifest.and_then(|text| burn(&text));
        found.or_else(|| burn(&of_this_build())).expect("the workspace names burn")
    }

    /// The lock file of the checkout, so that the crate builds with the versions that were tested
    /// and, once those are downloaded, without network. Cargo drops what the crate does not need.
    fn lock_file(&self) -> Option<String> {
        let Sdk::Path(path) = self else { return None };
        std::fs::read_to_string(path.parent()?.join("Cargo.lock")).ok()
    }
}

/// The names that follow from the one the author gave.
struct Names {
    lab: String,
    name: String,
}

impl Names {
    fn of(name: &str) -> Result<Self, ScaffoldError> {
        let (lab, short) = name.split_once('/').unwrap_or(("local", name));
        if !is_valid_part(lab) || !is_valid_part(short) {
            return Err(ScaffoldError::BadName { name: name.into() });
        }
        Ok(Names { lab: lab.into(), name: short.into() })
    }

    fn id(&self) -> String {
        format!("{}/{}", self.lab, self.name)
    }

    /// With the lab, so that two labs' plugins do not overwrite each other when installed.
    fn crate_name(&self) -> String {
        let name = format!("{}-{}", self.lab, self.name).replace('.', "-");
        match name.starts_with(|c: char| c.is_ascii_digit()) {
            true => format!("lab-{name}"),
            false => name,
        }
    }

    /// The name in camel case. The ending keeps it apart from every type of the SDK.
    fn type_name(&self) -> String {
        let capitalised = |word: &str| word[..1].to_uppercase() + &word[1..];
        let words = self.name.split(['-', '_', '.']).filter(|word| !word.is_empty());
        let name: String = words.map(capitalised).collect();
        match name.starts_with(|c: char| c.is_ascii_digit()) {
            true => format!("The{name}Learner"),
            false => format!("{name}Learner"),
        }
    }

    fn render(&self, text: &str) -> String {
        text.replace("{{crate}}", &self.crate_name())
            .replace("{{id}}", &self.id())
            .replace("{{lab}}", &self.lab)
            .replace("{{name}}", &self.name)
            .replace("{{Type}}", &self.type_name())
    }
}

fn write(path: &Path, text: &str) -> Result<(), ScaffoldError> {
    let parent = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let written: io::Result<()> = parent.and_then(|()| std::fs::write(path, text));
    written.map_err(|cause| ScaffoldError::Write { path: path.into(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(name: &str, dir: &Path) -> NewOptions {
        let (name, dir) = (name.to_owned(), Some(dir.to_owned()));
        NewOptions { name, dir, like: Template::Blank, sdk: None }
    }

    #[test]
    fn names_follow_from_one() {
        let cases = [
            ("er", "local/er", "local-er", "ErLearner"),
            ("tum/cls-er", "tum/cls-er", "tum-cls-er", "ClsErLearner"),
            ("a.b/x.y_z", "a.b/x.y_z", "a-b-x-y_z", "XYZLearner"),
            ("3m/2d", "3m/2d", "lab-3m-2d", "The2dLearner"),
        ];
        for (given, id, crate_name, type_name) in cases {
            let names = Names::of(given).unwrap();
            assert_eq!(
                (names.id(), names.crate_name(), names.type_name()),
                (id.into(), crate_name.into(), type_name.into())
            );
        }
        for bad in ["", "/", "a/", "/b", "a/b/c", "Er", "e r", "../er", "ér"] {
            assert!(matches!(Names::of(bad), Err(ScaffoldError::BadName { .. })), "{bad}");
        }
    }

    #[test]
    fn every_template_is_filled_in() {
        for name in Template::NAMES {
            let folder = tempfile::tempdir().unwrap();
            let dir = folder.path().join("crate");
            let like = name.parse().unwrap();
            let created = new(&NewOptions { like, ..options("tum/my-er", &dir) }).unwrap();
            assert_eq!(
                (created.id.as_str(), created.crate_name.as_str()),
                ("tum/my-er", "tum-my-er")
            );
            for file in ["Cargo.toml", "src/lib.rs", "README.md", ".gitignore"] {
                let text = std::fs::read_to_string(dir.join(file)).unwrap();
                assert!(!text.contains("{{"), "{name} {file}: {text}");
            }
            let text = std::fs::read_to_string(dir.join("Cargo.toml")).unwrap();
            let manifest: toml::Table = text.parse().unwrap();
            let dependencies = manifest["dependencies"].as_table().unwrap();
            for name in
                ["perdura-sdk", "perdura-nn"].iter().filter(|n| dependencies.contains_key(**n))
            {
                let path = dependencies[*name]["path"].as_str().unwrap();
                assert!(
                    Path::new(path).is_absolute() && Path::new(path).join("Cargo.toml").exists()
                );
            }
            let expected = if like == Template::Blank { 1 } else { 3 };
            assert_eq!(dependencies.len(), expected);
            assert!(manifest.contains_key("workspace"));
        }
        assert!("ewc".parse::<Template>().unwrap_err().contains("blank, er, derpp"));
    }

    #[test]
    fn folder_with_content_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        new(&options("er", folder.path())).unwrap();
        let before = std::fs::read_to_string(folder.path().join("README.md")).unwrap();
        let error = new(&options("sgd", folder.path())).unwrap_err();
        assert!(matches!(error, ScaffoldError::NotEmpty { .. }));
        let file = folder.path().join("README.md");
        assert!(matches!(new(&options("sgd", &file)), Err(ScaffoldError::NotEmpty { .. })));
        assert_eq!(std::fs::read_to_string(file).unwrap(), before);
    }

    #[test]
    fn sdk_is_a_version_a_crate_or_a_checkout() {
        assert_eq!(Sdk::parse("1.2"), Sdk::Version("1.2".into()));
        assert_eq!(Sdk::parse("../sdk"), Sdk::Path("../sdk".into()));
        let version = Sdk::Version("1.2".into()).resolved().unwrap();
        assert_eq!(version.dependencies(Template::Blank), "perdura-sdk = \"1.2\"");
        let lines = version.dependencies(Template::Er);
        let workspace: toml::Table = include_str!("../../../Cargo.toml").parse().unwrap();
        let dependencies: toml::Table = lines.parse().unwrap();
        assert_eq!(dependencies["perdura-nn"].as_str(), Some("1.2"));
        assert_eq!(dependencies["burn"], workspace["workspace"]["dependencies"]["burn"]);
        let checkout = Sdk::Path(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        assert_eq!(checkout.resolved().unwrap(), Sdk::of_this_build().resolved().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let nothing = Sdk::Path(folder.path().to_owned()).resolved();
        assert!(matches!(nothing, Err(ScaffoldError::NoSdk { .. })));
    }
}
