//! Host memory into tensors and back: one copy each way.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Stacks pieces of row-major host memory, each a whole number of rows of `width`, into `[rows,
/// width]`.
///
/// One copy: stacking here is cheaper than concatenating tensors. Panics when a piece holds part of
/// a row.
pub fn rows(pieces: &[&[f32]], width: usize, device: &Device) -> Tensor<2> {
    let values = pieces.concat();
    assert!(values.len() % width == 0, "{} values are no rows of width {width}", values.len());
    let count = values.len() / width;
    Tensor::from_data(TensorData::new(values, [count, width]), device)
}

/// Class labels as indices, stacked from several pieces.
///
/// Panics when a label is not below `classes`: the host has checked it before.
pub fn labels(pieces: &[&[u32]], classes: usize, device: &Device) -> Tensor<1, Int> {
    let check = |&label: &u32| {
        assert!((label as usize) < classes, "label {label} of {classes} classes");
        label as i32
    };
    let values: Vec<i32> = pieces.iter().flat_map(|piece| piece.iter().map(check)).collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

/// Copies a matrix (logits, mostly) into host memory of the same size.
pub fn copy_out(matrix: Tensor<2>, out: &mut [f32]) {
    let data = matrix.into_data();
    let values = data.as_slice::<f32>().expect("networks compute in f32");
    out.copy_from_slice(values);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_stacked_and_copied_out() {
        let device = crate::device("flex", 0).unwrap();
        let matrix = rows(&[&[1.0, 2.0], &[], &[3.0, 4.0, 5.0, 6.0]], 2, &device);
        assert_eq!(matrix.dims(), [3, 2]);
        let mut out = [0.0; 6];
        copy_out(matrix, &mut out);
        assert_eq!(out, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    #[should_panic(expected = "label 3 of 3 classes")]
    fn a_label_without_an_output_is_refused() {
        labels(&[&[0, 3]], 3, &crate::device("flex", 0).unwrap());
    }
}
