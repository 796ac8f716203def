//! As `abi_probe`, for a host of a later boundary: it also calls the field that today's has not.
#![deny(unsafe_code)]

mod probe;

fn main() {
    probe::run(|root| match root.fixture() {
        Some(fixture) => fixture().to_string(),
        None => "missing".into(),
    });
}
