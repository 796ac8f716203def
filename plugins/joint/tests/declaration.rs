//! `joint` is a stream: what sets it apart from `sgd` is a wish.

use perdura_joint::{Config, Joint};
use perdura_sdk::StreamShape;
use perdura_sdk::testing::{Driver, Setting};

#[test]
fn it_asks_for_the_union_of_all_experiences() {
    let driver = Driver::<Joint>::new(Config::default(), Setting::new(3, &[3])).unwrap();
    assert_eq!(driver.declaration.wishes.stream, StreamShape::Union);
    assert!(!driver.declaration.memory);
}
