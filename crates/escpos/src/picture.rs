//! From a PNG to dots: decoded within bounds, laid on white, scaled down to the paper, dithered.

use crate::bitmap::Bitmap;
use crate::document::{MAX_PNG, Tone};

/// The most pixels that are decoded: four bytes of memory each.
pub const MAX_PIXELS: usize = 2_000_000;

/// Grey, 0 black to 255 white, row by row.
struct Grey {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// Decodes `png` into dots at most `max_width` wide.
///
/// # Errors
/// Says what is wrong with the PNG.
pub fn dots(png: &[u8], max_width: usize, tone: Tone) -> Result<Bitmap, String> {
    let mut grey = decode(png)?;
    if grey.width > max_width {
        grey = scaled_down(&grey, max_width.max(1));
    }
    Ok(match tone {
        Tone::Dither => dithered(grey),
        Tone::Threshold => {
            let mut bitmap = Bitmap::new(grey.width, grey.height);
            for (index, _) in grey.pixels.iter().enumerate().filter(|(_, pixel)| **pixel < 128) {
                bitmap.set(index % grey.width, index / grey.width);
            }
            bitmap
        }
    })
}

fn decode(bytes: &[u8]) -> Result<Grey, String> {
    let broken = |error: png::DecodingError| format!("is not a PNG that can be read: {error}");
    let limits = png::Limits { bytes: MAX_PIXELS * 4 + MAX_PNG };
    let mut decoder = png::Decoder::new_with_limits(std::io::Cursor::new(bytes), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(broken)?;
    let side = |pixels: u32| usize::try_from(pixels).unwrap_or(usize::MAX);
    let (width, height) = (side(reader.info().width), side(reader.info().height));
    if width > 2000 || height > 4000 || width * height > MAX_PIXELS {
        return Err(format!(
            "has {width} × {height} pixels: at most 2000 × 4000 and {MAX_PIXELS} in all are taken"
        ));
    }
    let size = reader.output_buffer_size().ok_or("is too large")?;
    let mut buffer = vec![0; size];
    let frame = reader.next_frame(&mut buffer).map_err(broken)?;
    let channels = frame.color_type.samples();
    let pixels = buffer.chunks_exact(channels).map(on_white).collect();
    Ok(Grey { width, height, pixels })
}

/// The brightness (ITU-R BT.601) of a pixel of 1 to 4 channels, its transparent part white.
fn on_white(pixel: &[u8]) -> u8 {
    let (luma, alpha) = match *pixel {
        [grey] => (u32::from(grey), 255),
        [grey, alpha] => (u32::from(grey), u32::from(alpha)),
        [red, green, blue, ref rest @ ..] => (
            (299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue)) / 1000,
            rest.first().map_or(255, |alpha| u32::from(*alpha)),
        ),
        [] => (255, 255),
    };
    u8::try_from((luma * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX)
}

/// Each new pixel is the mean of the old ones that it covers.
fn scaled_down(from: &Grey, width: usize) -> Grey {
    let height = (from.height * width / from.width).max(1);
    let mut pixels = Vec::with_capacity(width * height);
    for y in 0..height {
        let rows =
            y * from.height / height..((y + 1) * from.height / height).max(y * from.height / height + 1);
        for x in 0..width {
            let (left, right) = (x * from.width / width, (x + 1) * from.width / width);
            let (mut sum, mut count) = (0_u64, 0_u64);
            for row in rows.clone() {
                let span = row * from.width + left..row * from.width + right;
                for pixel in from.pixels.get(span).into_iter().flatten() {
                    sum += u64::from(*pixel);
                    count += 1;
                }
            }
            pixels.push(u8::try_from(sum / count.max(1)).unwrap_or(u8::MAX));
        }
    }
    Grey { width, height, pixels }
}

/// Floyd and Steinberg's error diffusion.
fn dithered(grey: Grey) -> Bitmap {
    let mut bitmap = Bitmap::new(grey.width, grey.height);
    // One spare place at each side, so that the edges need no case of their own.
    let mut errors = vec![0_i32; grey.width + 2];
    for (y, row) in grey.pixels.chunks(grey.width.max(1)).enumerate() {
        let mut below = vec![0_i32; grey.width + 2];
        let mut carried = 0;
        for (x, pixel) in row.iter().enumerate() {
            let wanted = i32::from(*pixel) + (carried + errors.get(x + 1).copied().unwrap_or(0)) / 16;
            let error = if wanted < 128 {
                bitmap.set(x, y);
                wanted
            } else {
                wanted - 255
            };
            carried = error * 7;
            for (place, share) in below.iter_mut().skip(x).zip([3, 5, 1]) {
                *place += error * share;
            }
        }
        errors = below;
    }
    bitmap
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32, color: png::ColorType, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    fn blackness(bitmap: &Bitmap) -> usize {
        bitmap.data().iter().map(|byte| usize::try_from(byte.count_ones()).unwrap()).sum()
    }

    #[test]
    fn dithering_keeps_the_mean_brightness() {
        for level in [32_u8, 128, 200] {
            let picture = png(64, 64, png::ColorType::Grayscale, &[level; 64 * 64]);
            let black = blackness(&dots(&picture, 576, Tone::Dither).unwrap());
            let wanted = 64 * 64 * (255 - usize::from(level)) / 255;
            assert!(black.abs_diff(wanted) < 80, "{level}: {black} dots, {wanted} wanted");
        }
    }

    #[test]
    fn transparent_black_is_paper() {
        let picture = png(8, 1, png::ColorType::Rgba, &[0; 32]);
        assert_eq!(blackness(&dots(&picture, 576, Tone::Threshold).unwrap()), 0);
    }

    #[test]
    fn a_wide_picture_is_scaled_to_the_paper() {
        let half: Vec<u8> = (0..200_usize * 100).map(|i| if i % 200 < 100 { 0 } else { 255 }).collect();
        let bitmap = dots(&png(200, 100, png::ColorType::Grayscale, &half), 96, Tone::Threshold).unwrap();
        assert_eq!((bitmap.width(), bitmap.height()), (96, 48));
        assert_eq!(blackness(&bitmap), 48 * 48);
    }

    #[test]
    fn a_picture_that_would_fill_the_memory_is_refused() {
        let mut huge = png(1, 1, png::ColorType::Grayscale, &[0]);
        huge[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        assert!(dots(&huge, 576, Tone::Dither).is_err());
        assert!(dots(b"\x89PNG", 576, Tone::Dither).is_err());
    }
}
