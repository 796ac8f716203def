//! Devices by name: those of this build, and what is said about the others.

use perdura_nn::{DEVICES, device, device_and_precision};

fn message(name: &str) -> String {
    device(name, 0).unwrap_err().to_string()
}

#[test]
fn an_unknown_device_lists_the_known_ones() {
    for name in ["gpu", "flex+bf16", "flex:0", "cuda", "cuda:0+bf16", "cuda:x", "libtorch:mps"] {
        let known = DEVICES.join(", ");
        assert_eq!(message(name), format!("unknown device `{name}`; this build has: {known}"));
    }
}

#[test]
#[cfg(not(feature = "libtorch"))]
fn a_device_that_was_not_built_says_how_to_build_it() {
    for name in ["libtorch", "libtorch+bf16", "libtorch:cuda:0", "libtorch:cuda:0+bf16"] {
        let expected = "needs a build with LibTorch, this build has: flex";
        assert!(message(name).contains(expected), "{}", message(name));
        assert!(message(name).contains("--features perdura-nn/libtorch"), "{}", message(name));
    }
}

#[test]
#[cfg(not(feature = "cuda"))]
fn cuda_that_was_not_built_says_how_to_build_it() {
    assert!(message("cuda:0").contains("needs a build with CUDA"), "{}", message("cuda:0"));
    assert!(message("cuda:0").ends_with("--features perdura-nn/cuda`"), "{}", message("cuda:0"));
}

#[test]
#[cfg(feature = "libtorch")]
fn a_gpu_that_is_not_there() {
    let expected = "choose a number below that, or `libtorch`";
    assert!(message("libtorch:cuda:99").ends_with(expected), "{}", message("libtorch:cuda:99"));
}

#[test]
#[cfg(feature = "cuda")]
fn a_gpu_of_cuda_that_is_not_there() {
    let expected = "choose a number below that, or `flex`";
    assert!(message("cuda:99").ends_with(expected), "{}", message("cuda:99"));
}

#[test]
#[cfg(feature = "libtorch")]
fn bf16_is_for_those_who_ask_for_the_precision() {
    let expected = "device `libtorch+bf16`: this method computes in f32 only; choose `libtorch`";
    assert_eq!(message("libtorch+bf16"), expected);
    use perdura_nn::Precision;
    let precision = |name| device_and_precision(name, 0).unwrap().1;
    assert_eq!(precision("libtorch+bf16"), Precision::Bf16);
    assert_eq!(precision("libtorch"), Precision::F32);
}

#[test]
fn the_seed_starts_the_device_generator() {
    use burn::tensor::{Distribution, Tensor};
    for name in DEVICES.iter().filter(|name| !name.contains("cuda")) {
        let draw = |seed| {
            let (device, _) = device_and_precision(name, seed).unwrap();
            Tensor::<1>::random([4], Distribution::Default, &device).into_data()
        };
        assert_eq!(draw(7), draw(7), "{name}");
        assert_ne!(draw(7), draw(8), "{name}");
    }
}
