//! A plugin has its own copy of the standard library and of `tracing`: the host's panic hook and subscriber
//! do not see it. This file brings both over: panics leave their location for the adapter, and log records
//! go to the host through the handle of the call they happen in. Records outside a call are dropped.

use perdura_abi::message::LogMsg;
use perdura_abi::table::HostHandle;
use perdura_abi::{HostOp, MessageBuf};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

thread_local! {
    static CURRENT: Cell<Option<HostHandle<'static>>> = const { Cell::new(None) };
    static LOCATION: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Most detailed level that is sent, as 0 (none) to 5 (trace).
static LEVEL: AtomicUsize = AtomicUsize::new(0);

/// Keeps the handle of the call for log records until dropped.
pub(crate) struct Entered {
    before: Option<HostHandle<'static>>,
}

/// Makes `host` the receiver of this thread's log records.
pub(crate) fn enter(host: HostHandle<'_>) -> Entered {
    // SAFETY: only the lifetime changes, and the handle is taken away again when `Entered` is dropped,
    // which happens before the call that `host` belongs to returns.
    let host = unsafe { std::mem::transmute::<HostHandle<'_>, HostHandle<'static>>(host) };
    Entered { before: CURRENT.replace(Some(host)) }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Installs the panic hook and the subscriber of this plugin, once.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let location = info.location().map(ToString::to_string).unwrap_or_default();
            LOCATION.set(location);
            print(info);
        }));
        // Fails only where a subscriber is set already, which then is the author's own wish.
        let _ = tracing::subscriber::set_global_default(ToHost);
    });
}

/// Location of the last panic on this thread.
pub(crate) fn take_location() -> String {
    LOCATION.take()
}

/// Sets the most detailed level that is sent.
pub(crate) fn set_level(name: &str) {
    let level = ["error", "warn", "info", "debug", "trace"].iter().position(|n| *n == name);
    LEVEL.store(level.map_or(0, |index| index + 1), Ordering::Relaxed);
}

fn number(level: &Level) -> usize {
    match *level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

/// Sends events to the host. Spans are not carried over.
struct ToHost;

impl Subscriber for ToHost {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        number(metadata.level()) <= LEVEL.load(Ordering::Relaxed)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(mut host) = CURRENT.get() else { return };
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        let log = LogMsg {
            level: event.metadata().level().to_string().to_lowercase(),
            target: event.metadata().target().into(),
            message,
            fields: fields.0,
        };
        // A host that cannot log is no reason to stop learning.
        let _ =
            MessageBuf::of_header(&log).with(|message| host.call(HostOp::LOG, message).map(drop));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
}
