//! PNG output of figures.

use std::path::Path;

use super::Figure;
use crate::base::error::{Error, Result};

/// Image pixels per CSS pixel: enough for print at the width of a column.
const SCALE: f64 = 2.0;

impl Figure {
    /// Returns the figure as the bytes of a PNG file, 1840 pixels wide, on a white background. The
    /// error message names `path`; no file is written.
    ///
    /// # Errors
    /// Fails if the PNG encoder rejects the image, which would be a bug in this module.
    pub fn png(&self, path: &Path) -> Result<Vec<u8>> {
        let (width, height, pixels) = halved(self.bitmap(2.0 * SCALE));
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(&pixels)?;
            writer.finish()
        });
        written.map_err(|error| Error::run(format!("{}: {error}", path.display())))?;
        Ok(bytes)
    }
}

/// Halves the width and height of a bitmap; each pixel is the mean of four. This smooths the edges
/// of lines, which the library draws without antialiasing.
fn halved((width, height, pixels): (u32, u32, Vec<u8>)) -> (u32, u32, Vec<u8>) {
    let (columns, rows) = (width as usize / 2, height as usize / 2);
    let line = 3 * width as usize;
    let mut half = Vec::with_capacity(3 * columns * rows);
    for row in 0..rows {
        for column in 0..columns {
            let corner = 2 * row * line + 6 * column;
            half.extend((corner..corner + 3).map(|at| {
                let four = [at, at + 3, at + line, at + line + 3];
                let sum: u32 = four.iter().map(|at| u32::from(pixels[*at])).sum();
                ((sum + 2) / 4) as u8
            }));
        }
    }
    (width / 2, height / 2, half)
}
