//! Figures as PNG files.

use std::path::Path;

use super::Figure;
use crate::error::{Error, Result};

/// Pixels a CSS pixel: fit for print at a column's width.
const SCALE: f64 = 2.0;

impl Figure {
    /// The figure as the bytes of a PNG file, on white, 1840 pixels wide.
    ///
    /// # Errors
    /// If `path`, which is only named, cannot hold it: never but for faults of our own.
    pub fn png(&self, path: &Path) -> Result<Vec<u8>> {
        let (width, height, pixels) = self.bitmap(SCALE);
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
