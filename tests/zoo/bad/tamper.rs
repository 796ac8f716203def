//! An adapter of its own in place of the SDK's: it passes calls on and breaks a rule of the boundary in one
//! place. The SDK would not let a learner do these things.

use perdura_abi::abi_stable::library::{
    __call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult,
};
use perdura_abi::abi_stable::prefix_type::PrefixTypeTrait;
use perdura_abi::abi_stable::std_types::{RBox, RErr, ROk, RResult, RVec};
use perdura_abi::abi_stable::type_level::downcasting::TD_Opaque;
use perdura_abi::message::CreateMsg;
use perdura_abi::table::{HostHandle, LearnerAbi, LearnerAbi_TO, PluginRoot, PluginRootRef};
use perdura_abi::{AbiError, ErrorKind, LearnerBox, Message, MessageBuf, Op, Reply};
use perdura_sdk::__private as sdk;
use perdura_sdk::testing::root_of;

use crate::{Bad, lies};

const ID: &str = "zoo/bad";

const PARTS: [&str; sdk::PARTS] = sdk::manifest_parts(ID, "1.0.0", "", "MIT", "");

#[used]
#[unsafe(link_section = ".perdura")]
static MANIFEST: [u8; sdk::joined_len(&PARTS)] = sdk::join(&PARTS);

// SAFETY: `root` returns what `PluginRoot::leak_into_prefix` made, the `PluginRootRef` named here.
#[unsafe(no_mangle)]
pub static _1as_0lib_1header_0root_bmodule_bloader: LibHeader =
    unsafe { LibHeader::from_constructor::<PluginRootRef>(root, CheckTypeLayout::Yes) };

extern "C" fn root() -> RootModuleResult {
    __call_root_module_loader(|| {
        PluginRoot {
            describe,
            create,
            #[cfg(feature = "fixture-next")]
            fixture: {
                extern "C" fn fixture() -> u32 {
                    0
                }
                fixture
            },
        }
        .leak_into_prefix()
    })
}

/// The description of the learner, under the name of this file or a false one.
extern "C" fn describe() -> RResult<RVec<u8>, AbiError> {
    let described = match root_of::<Bad>().describe()() {
        ROk(described) => described,
        RErr(error) => return RErr(error),
    };
    let mut described: serde_json::Value =
        serde_json::from_slice(&described).expect("the SDK writes JSON");
    described["id"] = if lies("id") { "zoo/good" } else { ID }.into();
    ROk(serde_json::to_vec(&described).expect("it was JSON before").into())
}

extern "C" fn create(message: Message<'_>, host: HostHandle<'_>) -> RResult<LearnerBox, AbiError> {
    let Ok(mut create) = serde_json::from_slice::<CreateMsg>(&message.header) else {
        return RErr(AbiError::new(ErrorKind::MESSAGE, "no message of `create`"));
    };
    let how = create.config["how"].as_str().unwrap_or_default().to_owned();
    if let (true, Some(config)) = (how == "swallows-keys", create.config.as_object_mut()) {
        config.retain(|key, _| ["how", "call", "amount"].contains(&key.as_str()));
    }
    let created =
        MessageBuf::of_header(&create).with(|message| root_of::<Bad>().create()(message, host));
    created.map(|inner| LearnerAbi_TO::from_ptr(RBox::new(Tamper { inner, how }), TD_Opaque))
}

struct Tamper {
    inner: LearnerBox,
    how: String,
}

impl LearnerAbi for Tamper {
    fn call(
        &mut self,
        op: Op,
        message: Message<'_>,
        host: HostHandle<'_>,
    ) -> RResult<Reply, AbiError> {
        let answer = self.inner.call(op, message, host);
        match (self.how.as_str(), op, answer) {
            ("accepts-anything", _, RErr(error)) if error.kind == ErrorKind::UNSUPPORTED => {
                ROk(Reply::default())
            }
            ("wrong-length", Op::PREDICT, ROk(mut reply)) => {
                for tensor in &mut reply.tensors {
                    tensor.shape[0] -= 1;
                    let row = tensor.shape[1] as usize * 4;
                    tensor.data.truncate(tensor.data.len() - row);
                }
                ROk(reply)
            }
            (_, _, answer) => answer,
        }
    }
}
