//! Data sets that can be downloaded: files, where they are mirrored, and their checksums.

/// A data set as it is published.
#[derive(Clone, Copy, Debug)]
pub struct DataSet {
    /// Name, as in [`crate::data::NAMES`].
    pub name: &'static str,
    pub about: &'static str,
    /// Folders on the web that hold the files, tried in this order.
    pub mirrors: &'static [&'static str],
    pub files: &'static [RemoteFile],
    pub kind: Kind,
}

/// What is done with the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They stay as they are, in this folder below the data folder.
    Files { folder: &'static str },
    /// One archive, which unpacks into this folder below the data folder and is removed afterwards.
    Archive { folder: &'static str },
}

/// A file on a mirror.
#[derive(Clone, Copy, Debug)]
pub struct RemoteFile {
    pub name: &'static str,
    pub checksum: Checksum,
}

/// Of a whole file, in lower-case hexadecimal. MD5 is used where the publisher gives nothing else:
/// it shows a damaged file, it does not keep out a forged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    Sha256(&'static str),
    Md5(&'static str),
}

/// All of them. Sources of the checksums: MNIST, computed over the original files; the others as
/// published: Fashion-MNIST in its README, CIFAR on its page, Tiny-ImageNet in the loaders of many
/// libraries, as its page gives none.
pub const SETS: &[DataSet] = &[
    DataSet {
        name: "mnist",
        about: "60,000 + 10,000 grey digits of 28 x 28 (12 MB)",
        mirrors: &[
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            "https://storage.googleapis.com/cvdf-datasets/mnist",
        ],
        files: &[
            RemoteFile {
                name: "train-images-idx3-ubyte.gz",
                checksum: Checksum::Sha256(
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                ),
            },
            RemoteFile {
                name: "train-labels-idx1-ubyte.gz",
                checksum: Checksum::Sha256(
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                ),
            },
            RemoteFile {
                name: "t10k-images-idx3-ubyte.gz",
                checksum: Checksum::Sha256(
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
            },
            RemoteFile {
                name: "t10k-labels-idx1-ubyte.gz",
                checksum: Checksum::Sha256(
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
            },
        ],
        kind: Kind::Files { folder: "mnist" },
    },
    DataSet {
        name: "fmnist",
        about: "Fashion-MNIST: 60,000 + 10,000 grey articles of 28 x 28 (31 MB)",
        mirrors: &[
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        ],
        files: &[
            RemoteFile {
                name: "train-images-idx3-ubyte.gz",
                checksum: Checksum::Md5("8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            },
            RemoteFile {
                name: "train-labels-idx1-ubyte.gz",
                checksum: Checksum::Md5("25c81989df183df01b3e8a0aad5dffbe"),
            },
            RemoteFile {
                name: "t10k-images-idx3-ubyte.gz",
                checksum: Checksum::Md5("bef4ecab320f06d8554ea6380940ec79"),
            },
            RemoteFile {
                name: "t10k-labels-idx1-ubyte.gz",
                checksum: Checksum::Md5("bb300cfdad3c16e7a12a480ee83cd310"),
            },
        ],
        kind: Kind::Files { folder: "fmnist" },
    },
    DataSet {
        name: "cifar10",
        about: "50,000 + 10,000 colour images of 32 x 32, 10 classes (170 MB)",
        mirrors: &["https://www.cs.toronto.edu/~kriz"],
        files: &[RemoteFile {
            name: "cifar-10-binary.tar.gz",
            checksum: Checksum::Md5("c32a1d4ab5d03f1284b67883e8d87530"),
        }],
        kind: Kind::Archive { folder: "cifar-10-batches-bin" },
    },
    DataSet {
        name: "cifar100",
        about: "50,000 + 10,000 colour images of 32 x 32, 100 classes (169 MB)",
        mirrors: &["https://www.cs.toronto.edu/~kriz"],
        files: &[RemoteFile {
            name: "cifar-100-binary.tar.gz",
            checksum: Checksum::Md5("03b5dce01913d631647c71ecec9e9cb8"),
        }],
        kind: Kind::Archive { folder: "cifar-100-binary" },
    },
    DataSet {
        name: "tinyimagenet",
        about: "100,000 + 10,000 colour images of 64 x 64, 200 classes (248 MB)",
        mirrors: &["http://cs231n.stanford.edu"],
        files: &[RemoteFile {
            name: "tiny-imagenet-200.zip",
            checksum: Checksum::Md5("90528d7ca1a48142e341f4ef8d21d0de"),
        }],
        kind: Kind::Archive { folder: "tiny-imagenet-200" },
    },
];
