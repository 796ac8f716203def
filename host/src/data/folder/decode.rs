//! One image file to the planes of one sample. What a file is, is told by its content and not by
//! its name: some data sets hold PNG files that are called `.JPEG`.

use std::path::Path;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_png::PngDecoder;

use super::resize::resize;
use crate::data::{DataError, ImageShape};

const PNG_MAGIC: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
const JPEG_MAGIC: [u8; 3] = [0xff, 0xd8, 0xff];

/// A decoded file: rows of pixels with 1 or 3 values each.
struct Pixels {
    values: Vec<u8>,
    channels: usize,
    height: usize,
    width: usize,
}

/// Reads a file as `channels` planes. Grey becomes colour, transparency is left away; with a `size`
/// the image is resized to this height and width.
///
/// # Errors
/// A file that cannot be read or is damaged, or a colour image where grey ones are wanted.
pub(super) fn read_image(
    path: &Path,
    channels: usize,
    size: Option<(usize, usize)>,
) -> Result<(ImageShape, Vec<u8>), DataError> {
    let bytes = std::fs::read(path)
        .map_err(|source| DataError::Unreadable { path: path.to_owned(), source })?;
    let decoded = decode(&bytes).map_err(|found| DataError::Damaged {
        path: path.to_owned(),
        expected: "a whole PNG or JPEG image".into(),
        found,
        remedy: "replace the file, or take it out of the folder".into(),
    })?;
    if decoded.channels > channels {
        return Err(DataError::Damaged {
            path: path.to_owned(),
            expected: "a grey image".into(),
            found: format!("one of {} channels", decoded.channels),
            remedy: "take `channels=1` out, and grey images become colour images".into(),
        });
    }
    let (height, width) = size.unwrap_or((decoded.height, decoded.width));
    let mut planes = Vec::with_capacity(channels * height * width);
    for channel in 0..channels {
        let values = decoded.values.iter().skip(channel.min(decoded.channels - 1));
        let plane: Vec<u8> = values.step_by(decoded.channels).copied().collect();
        planes.extend(resize(&plane, (decoded.height, decoded.width), (height, width)));
    }
    Ok((ImageShape { channels, height, width }, planes))
}

fn decode(bytes: &[u8]) -> Result<Pixels, String> {
    // Strict: what is cut off is an error and not grey. Sums are checked.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .png_set_confirm_crc(true)
        .inflate_set_confirm_adler(true)
        .png_set_strip_to_8bit(true);
    let pixels = match bytes {
        _ if bytes.starts_with(&PNG_MAGIC) => decode_png(bytes, options)?,
        _ if bytes.starts_with(&JPEG_MAGIC) => decode_jpeg(bytes, options)?,
        [] => return Err("an empty file".into()),
        _ => return Err("a file that begins like neither".into()),
    };
    let expected = pixels.height * pixels.width * pixels.channels;
    match pixels.values.len() == expected && expected > 0 {
        true => Ok(pixels),
        false => Err(format!("{} values of {expected}", pixels.values.len())),
    }
}

fn decode_png(bytes: &[u8], options: DecoderOptions) -> Result<Pixels, String> {
    let mut decoder = PngDecoder::new_with_options(ZCursor::new(bytes), options);
    let values = decoder.decode_raw().map_err(damage)?;
    let (width, height) = decoder.dimensions().ok_or("no size")?;
    let stored = decoder.colorspace().ok_or("no colour space")?.num_components();
    // The last of 2 or 4 values is the transparency.
    let channels = if stored <= 2 { 1 } else { 3 };
    let values = match stored == channels {
        true => values,
        false => values.chunks_exact(stored).flat_map(|p| &p[..channels]).copied().collect(),
    };
    Ok(Pixels { values, channels, height, width })
}

fn decode_jpeg(bytes: &[u8], options: DecoderOptions) -> Result<Pixels, String> {
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(damage)?;
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let (out, channels) = if grey { (ColorSpace::Luma, 1) } else { (ColorSpace::RGB, 3) };
    decoder.set_options(options.jpeg_set_out_colorspace(out));
    let values = decoder.decode().map_err(damage)?;
    let (width, height) = decoder.dimensions().ok_or("no size")?;
    Ok(Pixels { values, channels, height, width })
}

/// Some messages of the decoders end in a new line.
fn damage(error: impl std::fmt::Display) -> String {
    format!("damage ({})", error.to_string().trim())
}
