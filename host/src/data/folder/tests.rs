//! Small folders made for the occasion, whole and with every kind of damage.

use std::fs;
use std::io::Write;
use std::time::{Duration, SystemTime};

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use jpeg_encoder::{ColorType, Encoder};
use tempfile::TempDir;

use super::*;

/// A PNG file. `colour` is 0 for grey, 2 for colour, 3 for a palette, 4 and 6 for grey and colour
/// with transparency; `rows` are the packed rows.
fn png(colour: u8, depth: u8, width: u32, rows: &[&[u8]], palette: Option<&[u8]>) -> Vec<u8> {
    let mut file = vec![0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
    let mut chunk = |kind: &[u8; 4], content: &[u8]| {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(content);
        file.extend((content.len() as u32).to_be_bytes());
        file.extend([&kind[..], content, &crc.sum().to_be_bytes()].concat());
    };
    let size = [width.to_be_bytes(), (rows.len() as u32).to_be_bytes()].concat();
    chunk(b"IHDR", &[&size[..], &[depth, colour, 0, 0, 0]].concat());
    if let Some(palette) = palette {
        chunk(b"PLTE", palette);
    }
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    for row in rows {
        packed.write_all(&[&[0], *row].concat()).unwrap();
    }
    chunk(b"IDAT", &packed.finish().unwrap());
    chunk(b"IEND", &[]);
    file
}

/// A grey image of 2 x 2 with this value at the top left.
fn grey(value: u8) -> Vec<u8> {
    png(0, 8, 2, &[&[value, 1], &[2, 3]], None)
}

fn jpeg(pixels: &[u8], size: u16, colour: ColorType) -> Vec<u8> {
    let mut file = Vec::new();
    Encoder::new(&mut file, 100).encode(pixels, size, size, colour).unwrap();
    file
}

struct Folder(TempDir);

impl Folder {
    /// Two classes with two training images each and one test image.
    fn new() -> Folder {
        let folder = Folder::empty();
        for (class, value) in [("ant", 10), ("bee", 20)] {
            folder.write(&format!("train/{class}/b.png"), grey(value + 1));
            folder.write(&format!("train/{class}/a.png"), grey(value));
            folder.write(&format!("test/{class}/a.png"), grey(value + 2));
        }
        folder
    }

    fn empty() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("data").join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn options(&self) -> FolderOptions {
        FolderOptions { channels: 1, ..FolderOptions::new(self.path("")) }
    }

    fn load(&self, options: &FolderOptions) -> Result<DataPair, DataError> {
        load_folder_in(options, &self.0.path().join("cache"))
    }

    fn cached(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.path().join("cache")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[track_caller]
    fn refused(&self, options: &FolderOptions, parts: &[&str]) {
        let message = self.load(options).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "no `{part}` in: {message}");
        }
    }
}

#[test]
fn classes_and_files_are_in_the_order_of_their_names() {
    let folder = Folder::new();
    let data = folder.load(&folder.options()).unwrap();
    assert_eq!(data.name, "data");
    assert_eq!((data.train.classes, data.train.labels), (2, vec![0, 0, 1, 1]));
    assert_eq!(
        data.train.images[..],
        [[10, 1, 2, 3], [11, 1, 2, 3], [20, 1, 2, 3], [21, 1, 2, 3]].concat()
    );
    assert_eq!((data.test.image(1), &data.test.labels[..]), (&[22, 1, 2, 3][..], &[0, 1][..]));
}

#[test]
fn grey_images_become_colour_images() {
    let folder = Folder::new();
    folder
        .write("train/ant/a.png", png(2, 8, 2, &[&[1, 2, 3, 4, 5, 6], &[7, 8, 9, 0, 0, 0]], None));
    let colour = FolderOptions { channels: 3, ..folder.options() };
    let data = folder.load(&colour).unwrap();
    assert_eq!(*data.train.image(0), [1, 4, 7, 0, 2, 5, 8, 0, 3, 6, 9, 0]);
    assert_eq!(*data.train.image(1), [[11, 1, 2, 3]; 3].concat());
    // The other way round something would be lost.
    folder.refused(
        &folder.options(),
        &["train/ant/a.png", "a grey image", "3 channels", "channels=1"],
    );
}

#[test]
fn every_kind_of_png_is_read() {
    let folder = Folder::new();
    let colour = FolderOptions { channels: 3, ..folder.options() };
    let first = |file: Vec<u8>| {
        folder.write("train/ant/a.png", file);
        folder.load(&colour).unwrap().train.image(0)[..].to_vec()
    };
    let rows: [&[u8]; 2] = [&[0b0110_0000], &[0b1000_0000]];
    let palette = [9, 8, 7, 1, 2, 3, 4, 5, 6];
    assert_eq!(first(png(3, 2, 2, &rows, Some(&palette))), [1, 4, 4, 9, 2, 5, 5, 8, 3, 6, 6, 7]);
    // Two bits of grey span 0 to 255; sixteen keep the upper eight; transparency goes.
    assert_eq!(first(png(0, 2, 2, &rows, None))[..4], [85, 170, 170, 0]);
    assert_eq!(first(png(0, 16, 2, &[&[7, 99, 8, 99], &[9, 99, 1, 99]], None))[..4], [7, 8, 9, 1]);
    assert_eq!(first(png(4, 8, 2, &[&[7, 99, 8, 99], &[9, 99, 1, 99]], None))[..4], [7, 8, 9, 1]);
    let row = [1, 2, 3, 99, 4, 5, 6, 99];
    assert_eq!(first(png(6, 8, 2, &[&row, &row], None))[..4], [1, 4, 1, 4]);
}

#[test]
fn jpeg_files_are_read_whatever_they_are_called() {
    let folder = Folder::new();
    let pixels: Vec<u8> = [[200, 100, 50]; 256].concat();
    let options = FolderOptions { channels: 3, size: Some((2, 2)), ..folder.options() };
    for (name, file) in [
        ("train/ant/a.png", jpeg(&pixels, 16, ColorType::Rgb)),
        ("train/ant/b.JPEG", jpeg(&[77; 256], 16, ColorType::Luma)),
    ] {
        folder.write(name, file);
    }
    let data = folder.load(&options).unwrap();
    let near = |image: &[u8], expected: [u8; 12]| {
        assert!(image.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 2), "{image:?}");
    };
    near(data.train.image(0), [200, 200, 200, 200, 100, 100, 100, 100, 50, 50, 50, 50]);
    near(data.train.image(1), [77; 12]);
}

#[test]
fn images_are_decoded_once() {
    let folder = Folder::new();
    let first = folder.load(&folder.options()).unwrap();
    let cached = folder.cached();
    assert_eq!(cached.len(), 1);
    // The second start takes the bytes from the cache: whatever they are.
    let mut bytes = fs::read(&cached[0]).unwrap();
    *bytes.last_mut().unwrap() ^= 0xff;
    let length = bytes.len();
    fs::remove_file(&cached[0]).unwrap();
    fs::write(&cached[0], &bytes).unwrap();
    let second = folder.load(&folder.options()).unwrap();
    assert_eq!(second.test.images[7], first.test.images[7] ^ 0xff);
    // One that is not whole is made again.
    fs::remove_file(&cached[0]).unwrap();
    fs::write(&cached[0], &bytes[..length - 1]).unwrap();
    assert_eq!(folder.load(&folder.options()).unwrap().test.images[..], first.test.images[..]);
    // Another file, another time of change, another size of images: another cache.
    folder.write("train/bee/b.png", grey(99));
    assert_eq!(folder.load(&folder.options()).unwrap().train.images[12], 99);
    assert_eq!(folder.cached().len(), 2);
    let touched = fs::File::options().write(true).open(folder.path("train/bee/b.png")).unwrap();
    touched.set_modified(SystemTime::now() - Duration::from_secs(99)).unwrap();
    folder.load(&folder.options()).unwrap();
    folder.load(&FolderOptions { size: Some((4, 4)), ..folder.options() }).unwrap();
    assert_eq!(folder.cached().len(), 4);
}

#[test]
fn damaged_images_are_named_and_leave_no_cache() {
    let flat: Vec<u8> = (0..768).map(|i| (i * 37 % 251) as u8).collect();
    let whole = jpeg(&flat, 16, ColorType::Rgb);
    let mut flipped = grey(9);
    let place = flipped.len() - 20;
    flipped[place] ^= 0x10;
    let damages: [(&str, Vec<u8>); 6] = [
        ("an empty file", Vec::new()),
        ("begins like neither", b"GIF89a".to_vec()),
        ("damage", grey(9)[..40].to_vec()),
        ("damage", flipped),
        ("damage", whole[..whole.len() / 2].to_vec()),
        ("damage", whole[..20].to_vec()),
    ];
    for (word, damaged) in damages {
        let folder = Folder::new();
        folder.write("train/bee/b.png", damaged);
        let options = FolderOptions { channels: 3, size: Some((2, 2)), ..folder.options() };
        let parts = ["train/bee/b.png", "a whole PNG or JPEG image", word, "replace the file"];
        folder.refused(&options, &parts);
        assert!(folder.cached().is_empty());
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    fs::write(folder.0.path().join("cache"), "a file").unwrap();
    folder.refused(&folder.options(), &["cannot write", "/cache/", "decoded images"]);
}

#[test]
fn the_first_of_several_damaged_images_is_named() {
    let folder = Folder::empty();
    for part in ["train", "test"] {
        (0..60).for_each(|i| folder.write(&format!("{part}/a/{i:02}.png"), grey(i)));
    }
    for i in [31, 7, 58] {
        folder.write(&format!("train/a/{i:02}.png"), "no image");
    }
    folder.write("test/a/00.png", "no image");
    (0..5).for_each(|_| folder.refused(&folder.options(), &["train/a/07.png"]));
}

#[test]
fn an_image_of_another_size_is_refused_unless_a_size_is_asked_for() {
    let folder = Folder::new();
    folder.write("test/bee/a.png", png(0, 8, 1, &[&[9], &[9], &[9]], None));
    let parts = ["test/bee/a.png", "1 x 2 x 2 like the first", "found one of 1 x 3 x 1", "`size`"];
    folder.refused(&folder.options(), &parts);
    let sized = FolderOptions { size: Some((2, 2)), ..folder.options() };
    assert_eq!(*folder.load(&sized).unwrap().test.image(1), [9; 4]);
}

#[test]
fn classes_must_be_complete() {
    let folder = Folder::new();
    fs::remove_file(folder.path("test/bee/a.png")).unwrap();
    folder.refused(&folder.options(), &["test/bee", ".png, .jpg or .jpeg", "remove the folder"]);
    fs::remove_dir(folder.path("test/bee")).unwrap();
    folder.refused(&folder.options(), &["data/test: ", "a folder `bee`", "training and test"]);
    folder.write("test/bee/a.png", grey(1));
    folder.write("test/cow/a.png", grey(1));
    folder.refused(&folder.options(), &["test: ", "class folder `cow`", "add training images"]);
    fs::remove_dir_all(folder.path("test")).unwrap();
    folder.refused(&folder.options(), &["`train` and `test` or `val`", "add the test part"]);
    fs::rename(folder.path("train"), folder.path("val")).unwrap();
    folder.refused(&folder.options(), &["no folder `train`", "`test=N`"]);
    let nowhere = FolderOptions { test_per_class: Some(1), ..FolderOptions::new("/nowhere") };
    folder.refused(&nowhere, &["cannot read /nowhere"]);
}

#[test]
fn classes_are_skipped_and_taken_by_name() {
    let folder = Folder::new();
    folder.write("train/cow/x/a.png", grey(30));
    folder.write("test/cow/a.png", grey(32));
    let chosen = |skipped, taken| {
        let (classes_skipped, classes_taken) = (skipped, taken);
        folder.load(&FolderOptions { classes_skipped, classes_taken, ..folder.options() })
    };
    let rest = chosen(1, None).unwrap();
    assert_eq!((rest.train.labels, rest.train.images[0]), (vec![0, 0, 1], 20));
    let one = chosen(1, Some(1)).unwrap();
    assert_eq!((one.train.classes, one.train.labels, one.test.images[0]), (1, vec![0, 0], 22));
    let message = chosen(2, Some(2)).unwrap_err().to_string();
    assert!(message.contains("expected 4 class folders or more, found 3"), "{message}");
    assert!(chosen(3, None).is_err());
}

#[test]
fn a_folder_without_parts_gives_its_last_images_to_the_test() {
    let folder = Folder::empty();
    for (class, count) in [("ant", 3), ("bee", 4)] {
        (0..count).for_each(|i| folder.write(&format!("{class}/{i}.png"), grey(i)));
    }
    let tests = |count| FolderOptions { test_per_class: Some(count), ..folder.options() };
    let data = folder.load(&tests(2)).unwrap();
    assert_eq!((data.train.labels, data.test.labels), (vec![0, 1, 1], vec![0, 0, 1, 1]));
    assert_eq!((data.test.images[0], data.test.images[12]), (1, 3));
    folder.refused(&tests(3), &["data/ant", "more than 3 images", "found 3 images", "smaller"]);
}

#[test]
fn tiny_imagenet_names_the_classes_of_its_validation_part_in_a_file() {
    let folder = Folder::empty();
    for (class, value) in [("n1", 10), ("n2", 20)] {
        folder.write(&format!("train/{class}/images/{class}_0.JPEG"), grey(value));
        folder.write(&format!("train/{class}/{class}_boxes.txt"), "boxes");
        folder.write(&format!("val/images/val_{value}.JPEG"), grey(value + 1));
    }
    folder.write("test/images/test_0.JPEG", grey(0));
    let annotate = |text: &str| folder.write("val/val_annotations.txt", text);
    annotate("val_20.JPEG\tn2\t0\t0\t9\t9\nval_10.JPEG\tn1\t0\t0\t9\t9\n");
    let data = folder.load(&folder.options()).unwrap();
    assert_eq!((&data.train.labels[..], &data.test.labels[..]), (&[0, 1][..], &[0, 1][..]));
    assert_eq!((data.train.images[4], data.test.images[0], data.test.images[4]), (20, 11, 21));

    annotate("val_20.JPEG\tn2\nval_10.JPEG\tn3\n");
    folder.refused(&folder.options(), &["val_annotations.txt", "line 2", "found `n3`"]);
    annotate("val_20.JPEG n2\n");
    folder.refused(&folder.options(), &["a tab between them in line 1", "`val_20.JPEG n2`"]);
    annotate("val_20.JPEG\tn2\n");
    folder.refused(&folder.options(), &["images of the class `n1`, found none"]);
    annotate("val_20.JPEG\tn2\nval_99.JPEG\tn1\n");
    folder.refused(&folder.options(), &["cannot read", "val/images/val_99.JPEG"]);
}

#[test]
fn tiny_imagenet_has_its_official_sizes_or_is_refused() {
    let message = load_tiny(Path::new("/nowhere")).unwrap_err().to_string();
    let fetch = "perdura data fetch tinyimagenet";
    assert!(message.contains("/nowhere/tiny-imagenet-200") && message.contains(fetch), "{message}");
    let folder = Folder::new();
    fs::rename(folder.path(""), folder.0.path().join("tiny-imagenet-200")).unwrap();
    let small = load_tiny_in(folder.0.path(), &folder.0.path().join("cache"));
    let message = small.unwrap_err().to_string();
    let expected = "expected 200 classes, 100000 training and 10000 test images of 3 x 64 x 64";
    let found = "found 2 classes, 4 training and 2 test images of 3 x 2 x 2";
    assert!(message.contains(expected) && message.contains(found), "{message}");
}
