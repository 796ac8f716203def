//! CIFAR-10 and CIFAR-100 in their binary version: files of records, each the label and then the
//! pixels of one 32 x 32 image, a plane each of red, green and blue. CIFAR-100 has two labels, the
//! second of which (`fine`) counts.
//! Source: <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{DataError, DataPair, Dataset, ImageShape, find, unpacked};

/// Read at a time.
const READ_BYTES: usize = 1 << 20;
const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

/// A data set of CIFAR records.
pub(super) struct Cifar {
    name: &'static str,
    /// Folder below the data folder, as the official archive unpacks.
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    /// Bytes before the pixels; the last one is the label.
    label_bytes: usize,
    classes: usize,
    /// Official numbers of records in a training file and in the test file; where there are none,
    /// what is there is taken.
    records: Option<(usize, usize)>,
}

pub(super) const CIFAR10: Cifar = Cifar {
    name: "cifar10",
    folder: "cifar-10-batches-bin",
    train: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    test: "test_batch.bin",
    label_bytes: 1,
    classes: 10,
    records: Some((10_000, 10_000)),
};

pub(super) const CIFAR100: Cifar = Cifar {
    name: "cifar100",
    folder: "cifar-100-binary",
    train: &["train.bin"],
    test: "test.bin",
    label_bytes: 2,
    classes: 100,
    records: Some((50_000, 10_000)),
};

/// Part of CIFAR-10, for trying things out.
pub(super) const CIFAR10_SUBSET: Cifar = Cifar {
    name: "cifar10-subset",
    folder: "cifar-10-subset",
    train: &["data_batch_1.bin"],
    test: "test_batch.bin",
    label_bytes: 1,
    classes: 10,
    records: None,
};

impl Cifar {
    /// Reads both parts.
    pub(super) fn load(&self, data_dir: &Path) -> Result<DataPair, DataError> {
        let folders = [data_dir.join(self.folder), data_dir.to_owned()];
        let find = |file: &&str| find(self.name, &folders, file, &[""]);
        let train = self.train.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let test = find(&self.test)?;
        Ok(DataPair {
            name: self.name.into(),
            train: self.load_part(&train, self.records.map(|records| records.0))?,
            test: self.load_part(&[test], self.records.map(|records| records.1))?,
            scale: 255.0,
        })
    }

    /// Labels are read anew each time; pixels, which are nearly all there is, lie in the cache that runs share.
    fn load_part(&self, files: &[PathBuf], records: Option<usize>) -> Result<Dataset, DataError> {
        let mut labels = Vec::new();
        self.read(files, records, |label, _| labels.push(u32::from(label)))?;
        let images = unpacked::pixels(files, || {
            let mut pixels = Vec::with_capacity(labels.len() * SHAPE.len());
            self.read(files, records, |_, image| pixels.extend_from_slice(image))?;
            Ok(pixels)
        })?;
        if images.len() != labels.len() * SHAPE.len() {
            let expected = format!("{} records", labels.len());
            let found = format!("{} when they were read again", images.len() / SHAPE.len());
            return Err(DataError::damaged(&files[0], expected, found));
        }
        Ok(Dataset { images, labels, shape: SHAPE, classes: self.classes })
    }

    /// Label and pixels of each record, file after file.
    fn read(
        &self,
        files: &[PathBuf],
        records: Option<usize>,
        mut take: impl FnMut(u8, &[u8]),
    ) -> Result<(), DataError> {
        let mut record = vec![0; self.record_bytes()];
        for path in files {
            let unreadable = |source| DataError::Unreadable { path: path.clone(), source };
            let file = std::fs::File::open(path).map_err(unreadable)?;
            let length = file.metadata().map_err(unreadable)?.len() as usize;
            self.check_length(path, length, records)?;
            let mut file = std::io::BufReader::with_capacity(READ_BYTES, file);
            for row in 0..length / record.len() {
                file.read_exact(&mut record).map_err(unreadable)?;
                let (head, pixels) = record.split_at(self.label_bytes);
                let label = head[self.label_bytes - 1];
                if usize::from(label) >= self.classes {
                    let expected = format!("labels from 0 to {}", self.classes - 1);
                    let found = format!("label {label} in record {row}");
                    return Err(DataError::damaged(path, expected, found));
                }
                take(label, pixels);
            }
        }
        Ok(())
    }

    fn record_bytes(&self) -> usize {
        self.label_bytes + SHAPE.len()
    }

    fn check_length(
        &self,
        path: &Path,
        bytes: usize,
        records: Option<usize>,
    ) -> Result<(), DataError> {
        let size = self.record_bytes();
        let found = match bytes % size {
            0 => format!("{bytes} bytes, which are {} records", bytes / size),
            rest => format!("{bytes} bytes, which are {} records and {rest} bytes", bytes / size),
        };
        let expected = match records {
            Some(records) if bytes == records * size => return Ok(()),
            Some(records) => format!("{} bytes for {records} records of {size}", records * size),
            None if bytes > 0 && bytes.is_multiple_of(size) => return Ok(()),
            None => format!("one or more whole records of {size} bytes"),
        };
        Err(DataError::damaged(path, expected, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two training files and a test file of two records each, for a data set of three classes.
    const SMALL: Cifar = Cifar {
        name: "small",
        folder: "small",
        train: &["a.bin", "b.bin"],
        test: "t.bin",
        label_bytes: 2,
        classes: 3,
        records: Some((2, 2)),
    };

    /// A record whose planes are filled with 1, 2, 3 times `value`.
    fn record(coarse: u8, fine: u8, value: u8) -> Vec<u8> {
        let plane = |channel: u8| vec![value * channel; 1024];
        [vec![coarse, fine], plane(1), plane(2), plane(3)].concat()
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("small")).unwrap();
        let write = |name: &str, records: [Vec<u8>; 2]| {
            std::fs::write(folder.path().join("small").join(name), records.concat()).unwrap();
        };
        write("a.bin", [record(9, 0, 1), record(9, 2, 2)]);
        write("b.bin", [record(9, 1, 3), record(9, 0, 4)]);
        write("t.bin", [record(9, 2, 5), record(9, 1, 6)]);
        folder
    }

    fn refused(change: impl FnOnce(&mut Vec<u8>)) -> String {
        let folder = folder();
        let path = folder.path().join("small/b.bin");
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let message = SMALL.load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("b.bin") && message.contains("fetch it again"), "{message}");
        message
    }

    #[test]
    fn records_are_labels_and_planes() {
        let folder = folder();
        let data = SMALL.load(folder.path()).unwrap();
        assert_eq!(data.train.labels, [0, 2, 1, 0]);
        assert_eq!(data.test.labels, [2, 1]);
        let image = data.train.image(2);
        assert_eq!(image.len(), 3072);
        assert_eq!((image[0], image[1023], image[1024], image[3071]), (3, 3, 6, 9));
        // The files may lie in the folder itself.
        let inner = SMALL.load(&folder.path().join("small")).unwrap();
        assert_eq!(inner.test.image(1)[2048..], [18; 1024]);
    }

    #[test]
    fn damaged_files_are_named() {
        let message = refused(|bytes| bytes.truncate(4000));
        assert!(message.contains("expected 6148 bytes for 2 records of 3074"), "{message}");
        assert!(message.contains("found 4000 bytes, which are 1 records and 926"), "{message}");
        let message = refused(|bytes| bytes.truncate(3074));
        assert!(message.contains("found 3074 bytes, which are 1 records;"), "{message}");
        let message = refused(|bytes| bytes[3075] = 3);
        assert!(message.contains("labels from 0 to 2, found label 3 in record 1"), "{message}");
    }

    #[test]
    fn without_an_official_size_whole_records_are_enough() {
        let any = Cifar { records: None, ..SMALL };
        let folder = folder();
        let path = folder.path().join("small/a.bin");
        std::fs::write(&path, record(0, 1, 7)).unwrap();
        assert_eq!(any.load(folder.path()).unwrap().train.labels, [1, 1, 0]);
        for damaged in [Vec::new(), record(0, 1, 7)[1..].to_vec()] {
            std::fs::write(&path, damaged).unwrap();
            let message = any.load(folder.path()).unwrap_err().to_string();
            assert!(message.contains("one or more whole records of 3074 bytes"), "{message}");
        }
    }

    #[test]
    fn a_missing_file_names_the_places_and_the_way_to_get_it() {
        let message = CIFAR10.load(Path::new("/nowhere")).unwrap_err().to_string();
        let place = "/nowhere/cifar-10-batches-bin/data_batch_1.bin, /nowhere/data_batch_1.bin";
        for part in ["no file data_batch_1.bin", place, "perdura data fetch cifar10", "--data-dir"]
        {
            assert!(message.contains(part), "no `{part}` in: {message}");
        }
    }
}
