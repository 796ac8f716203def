//! A folder of its own for each test: everything `perdura` reads or writes by default points into it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::built;

/// Set for every process of a sandbox, so that those left behind can be found.
const MARK: &str = "PERDURA_TESTS_SANDBOX";

/// A place to run commands in. Its folder goes away with it.
pub struct Sandbox {
    folder: tempfile::TempDir,
}

/// What a command answered.
#[derive(Debug)]
pub struct Answer {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    pub fn new() -> Sandbox {
        let folder = tempfile::Builder::new().prefix("perdura-tests-").tempdir();
        let sandbox = Sandbox { folder: folder.expect("temporary folders can be made") };
        ["cache", "data", "home", "work"].iter().for_each(|name| {
            std::fs::create_dir(sandbox.path(name)).expect("the folder is new");
        });
        sandbox
    }

    /// A path in the sandbox. Commands run in `work`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into `work`.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path("work").join(name);
        std::fs::write(&path, content).expect("the sandbox can be written");
        path
    }

    /// A program that sees the sandbox and nothing of the user.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path("work"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("HOME", self.path("home"))
            .env(MARK, self.folder.path())
            .env_remove("PERDURA_PLUGIN_PATH")
            .env_remove("PERDURA_DATA");
        command
    }

    /// `perdura` with these words.
    pub fn perdura<S: AsRef<OsStr>>(&self, words: &[S]) -> Answer {
        let mut command = self.command(built().perdura());
        command.args(words);
        answer_of(command)
    }

    /// The same with further variables of the environment.
    pub fn perdura_with(&self, words: &[&str], env: &[(&str, &OsStr)]) -> Answer {
        let mut command = self.command(built().perdura());
        command.args(words).envs(env.iter().copied());
        answer_of(command)
    }

    /// `perdura` with the words of a line.
    pub fn line(&self, words: &str) -> Answer {
        self.perdura(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// Another program.
    pub fn program(&self, program: &Path, words: &[PathBuf]) -> Answer {
        let mut command = self.command(program);
        command.args(words);
        answer_of(command)
    }

    /// Numbers and command lines of the processes of this sandbox that still run.
    pub fn members(&self) -> Vec<(u32, String)> {
        numbered_processes_of(self.folder.path())
    }

    /// Command lines of the processes of this sandbox that still run.
    pub fn processes(&self) -> Vec<String> {
        processes_of(self.folder.path())
    }

    /// Sends a signal to every process whose command line holds `word`. Returns how many there were.
    pub fn signal(&self, signal: &str, word: &str) -> usize {
        let processes = numbered_processes_of(self.folder.path());
        let hit = processes.into_iter().filter(|(_, words)| words.contains(word));
        let numbers: Vec<String> = hit.map(|(number, _)| number.to_string()).collect();
        if !numbers.is_empty() {
            // One that has ended meanwhile is no concern.
            let _ = Command::new("kill").arg(format!("-{signal}")).args(&numbers).output();
        }
        numbers.len()
    }
}

/// Runs a command to its end.
pub fn answer_of(mut command: Command) -> Answer {
    let output = command.output().expect("the program can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Answer { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

impl Answer {
    /// Asserts the exit code and returns the answer.
    #[track_caller]
    pub fn expect(self, code: i32) -> Answer {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.out, self.err);
        self
    }

    /// Asserts that the input was refused in a short message that holds all of `words`.
    #[track_caller]
    pub fn refused(self, words: &[&str]) -> Answer {
        let answer = self.expect(2);
        assert!(answer.err.starts_with("error: "), "{}", answer.err);
        assert!(answer.err.trim_end().lines().count() <= 6, "too long:\n{}", answer.err);
        for word in words {
            assert!(answer.err.contains(word), "`{word}` is not in:\n{}", answer.err);
        }
        assert_eq!(answer.out, "");
        answer
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}:\n{}", self.out))
    }
}

/// Command lines of the processes that belong to the sandbox in `folder`.
pub fn processes_of(folder: &Path) -> Vec<String> {
    numbered_processes_of(folder).into_iter().map(|(_, words)| words).collect()
}

/// The same with their numbers.
pub fn numbered_processes_of(folder: &Path) -> Vec<(u32, String)> {
    let mark = format!("{MARK}={}\0", folder.display());
    let entries = std::fs::read_dir("/proc").expect("Linux has /proc").flatten();
    let belongs = |process: &PathBuf| {
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        environment.windows(mark.len()).any(|window| window == mark.as_bytes())
    };
    let processes = entries.map(|entry| entry.path()).filter(belongs);
    let named = |process: PathBuf| {
        let words = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let number = process.file_name()?.to_str()?.parse().ok()?;
        Some((number, String::from_utf8_lossy(&words).replace('\0', " ")))
    };
    processes.filter_map(named).collect()
}

/// Runs the test `name` of this program again in a process of its own in a sandbox, and there `body`:
/// for tests that use the host as a library, which reads the environment and never unloads a plugin.
pub fn in_child(name: &str, body: impl FnOnce()) {
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(std::env::current_exe().expect("it runs"));
    built();
    command.args([name, "--exact", "--nocapture"]).env(crate::built::DONE, "yes");
    let answer = answer_of(command);
    let passed = answer.code == Some(0) && answer.out.contains("1 passed");
    assert!(passed, "{name} in a process of its own:\n{}\n{}", answer.out, answer.err);
}
