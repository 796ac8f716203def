//! The last transform of every profile: pixels become numbers of mean 0 and deviation 1, as far as
//! the statistics of a data set go. Division and subtraction are exact to the last bit, so every
//! instruction set gives the same bytes.

use multiversion::multiversion;

/// Mean and standard deviation of one channel, in units of `pixel / scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelStatistics {
    pub mean: f32,
    pub deviation: f32,
}

impl ChannelStatistics {
    /// Leaves values as they are, to the bit.
    pub(super) const NONE: ChannelStatistics = ChannelStatistics { mean: 0.0, deviation: 1.0 };
    /// Puts values from 0 to 1 between -1 and 1.
    pub(super) const HALF: ChannelStatistics = ChannelStatistics { mean: 0.5, deviation: 0.5 };
}

/// `pixel / scale`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub(super) fn divide(scale: f32, from: &[u8], to: &mut [f32]) {
    for (to, &pixel) in to.iter_mut().zip(from) {
        *to = f32::from(pixel) / scale;
    }
}

/// `(pixel / scale - mean) / deviation`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub(super) fn standardise(scale: f32, of: ChannelStatistics, from: &[u8], to: &mut [f32]) {
    for (to, &pixel) in to.iter_mut().zip(from) {
        *to = (f32::from(pixel) / scale - of.mean) / of.deviation;
    }
}

/// The same for values that have been divided by the scale before.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub(super) fn standardise_values(of: ChannelStatistics, values: &mut [f32]) {
    for value in values {
        *value = (*value - of.mean) / of.deviation;
    }
}
