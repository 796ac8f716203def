//! What `export_learner!` expands to, and the functions behind it. Not for authors to call.

use perdura_abi::abi_stable::library::{
    __call_root_module_loader, CheckTypeLayout, LibHeader as Header, RootModuleResult,
};
use perdura_abi::abi_stable::prefix_type::PrefixTypeTrait;
use perdura_abi::abi_stable::std_types::{RBox, RResult, RVec};
use perdura_abi::manifest::{DescribedView, Description};
use perdura_abi::message::{ContextMsg, Grants};
use perdura_abi::table::{HostHandle, LearnerAbi_TO, PluginRoot, PluginRootRef};
use perdura_abi::{AbiError, LearnerBox, Message};

use crate::about::parse_presets;
use crate::adapter::{Instance, guard};
use crate::bridge;
use crate::error::Result;
use crate::learner::{Context, ContinualLearner};
use crate::random::begin_call;

pub use perdura_abi::abi_stable::library::LibHeader;

/// Exports a learner from a shared library.
///
/// ```text
/// perdura_sdk::export_learner!(MyLearner, id = "lab/method");
/// ```
///
/// Name, version, authors and licence of the static manifest come from the crate's `Cargo.toml`. Native
/// libraries the plugin needs are named with `native = "libtorch_cpu.so.2.9"`.
#[macro_export]
macro_rules! export_learner {
    ($learner:ty, id = $id:literal $(, native = $native:literal)? $(,)?) => {
        #[allow(unsafe_code)]
        const _: () = {
            use $crate::__private as p;

            struct Plugin;
            impl p::Exported for Plugin {
                type Learner = $learner;
                const ID: &'static str = $id;
            }

            const PARTS: [&str; p::PARTS] = p::manifest_parts(
                $id,
                env!("CARGO_PKG_VERSION"),
                env!("CARGO_PKG_AUTHORS"),
                env!("CARGO_PKG_LICENSE"),
                concat!("" $(, $native)?),
            );
            #[used]
            #[unsafe(link_section = ".perdura")]
            static MANIFEST: [u8; p::joined_len(&PARTS)] = p::join(&PARTS);

            #[unsafe(no_mangle)]
            pub static _1as_0lib_1header_0root_bmodule_bloader: p::LibHeader =
                p::lib_header::<Plugin>();
        };
    };
}

/// What the macro knows about a plugin.
pub trait Exported: 'static {
    type Learner: ContinualLearner;
    const ID: &'static str;
}

/// Number of pieces of the static manifest.
pub const PARTS: usize = 15;

/// The static manifest, in pieces that alternate between JSON text and values.
pub const fn manifest_parts(
    id: &'static str,
    version: &'static str,
    authors: &'static str,
    licence: &'static str,
    native: &'static str,
) -> [&'static str; PARTS] {
    [
        "{\"id\":\"",
        plain(id),
        "\",\"version\":\"",
        plain(version),
        "\",\"authors\":\"",
        plain(authors),
        "\",\"licence\":\"",
        plain(licence),
        "\",\"native\":\"",
        plain(native),
        "\",\"abi\":\"",
        perdura_abi::ABI,
        "\",\"panic\":\"",
        if cfg!(panic = "abort") { "abort" } else { "unwind" },
        concat!(
            "\",\"abi_stable\":\"0.11.3\",\"rustc\":\"",
            env!("PERDURA_RUSTC"),
            "\",\"target\":\"",
            env!("PERDURA_TARGET"),
            "\"}"
        ),
    ]
}

/// Refuses, at compile time, text that would have to be escaped in JSON.
const fn plain(text: &'static str) -> &'static str {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let escaped = bytes[i] == b'"' || bytes[i] == b'\\' || bytes[i] < 0x20;
        assert!(
            !escaped,
            "quotes, backslashes and control characters are not allowed in a manifest"
        );
        i += 1;
    }
    text
}

pub const fn joined_len(parts: &[&str]) -> usize {
    let (mut len, mut i) = (0, 0);
    while i < parts.len() {
        len += parts[i].len();
        i += 1;
    }
    len
}

pub const fn join<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut out = [0; N];
    let (mut at, mut i) = (0, 0);
    while i < parts.len() {
        let bytes = parts[i].as_bytes();
        let mut j = 0;
        while j < bytes.len() {
            out[at] = bytes[j];
            at += 1;
            j += 1;
        }
        i += 1;
    }
    out
}

/// The exported header of plugin `P`.
pub const fn lib_header<P: Exported>() -> Header {
    // SAFETY: `root` returns what `PluginRoot::leak_into_prefix` made, the `PluginRootRef` named here.
    unsafe { Header::from_constructor::<PluginRootRef>(root::<P>, CheckTypeLayout::Yes) }
}

extern "C" fn root<P: Exported>() -> RootModuleResult {
    __call_root_module_loader(root_module::<P>)
}

/// What the host finds behind the header.
pub fn root_module<P: Exported>() -> PluginRootRef {
    PluginRoot {
        describe: describe::<P>,
        create: create::<P>,
        #[cfg(feature = "fixture-next")]
        fixture: {
            extern "C" fn fixture() -> u32 {
                7001
            }
            fixture
        },
    }
    .leak_into_prefix()
}

extern "C" fn describe<P: Exported>() -> RResult<RVec<u8>, AbiError> {
    bridge::install();
    guard(|| Ok(serde_json::to_vec(&description::<P>()?)?)).map(RVec::from).into()
}

/// The described part of the manifest, for a plugin with this id.
pub fn description<P: Exported>() -> Result<Description> {
    let about = <P::Learner as ContinualLearner>::about();
    type Config<P> = <<P as Exported>::Learner as ContinualLearner>::Config;
    let config = Config::<P>::default();
    let grants = Grants { boundaries: true, experience_classes: true, second_pass: true };
    let (input_shape, device) = (vec![1, 28, 28], "flex".into());
    let context = ContextMsg { classes: 10, input_shape, device, threads: 1, grants };
    let context = Context::new(&context, begin_call(0));
    let declaration = <P::Learner as ContinualLearner>::declare(&config, &context);
    let view = |v: perdura_abi::message::View| DescribedView { name: v.name, needs: v.needs };
    Ok(Description {
        id: P::ID.into(),
        summary: about.summary,
        paper: about.paper,
        scenarios: about.scenarios,
        config_schema: serde_json::to_value(schemars::schema_for!(Config::<P>))?,
        config_default: serde_json::to_value(&config)?,
        presets: parse_presets(&about.presets)?,
        devices: about.devices,
        views: declaration.views.into_iter().map(view).collect(),
        state_format: about.state_format,
    })
}

extern "C" fn create<P: Exported>(
    message: Message<'_>,
    host: HostHandle<'_>,
) -> RResult<LearnerBox, AbiError> {
    bridge::install();
    Instance::<P::Learner>::create(message, host).map(into_box).into()
}

/// A learner as the host holds it.
pub fn into_box<L: ContinualLearner>(instance: Instance<L>) -> LearnerBox {
    use perdura_abi::abi_stable::type_level::downcasting::TD_Opaque;
    LearnerAbi_TO::from_ptr(RBox::new(instance), TD_Opaque)
}
