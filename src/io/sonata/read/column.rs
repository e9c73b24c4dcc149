//! A one-dimensional dataset of a SONATA file: reading and checking of its values.

use std::fmt::Display;
use std::ops::Range;
use std::path::PathBuf;

use hdf5::types::{
    FixedAscii, FixedUnicode, FloatSize, TypeDescriptor, VarLenAscii, VarLenUnicode,
};
use hdf5::{Attribute, Dataset, H5Type};

use super::super::cause;
use crate::base::error::{Error, Result};
use crate::base::units::{Ms, Steps};

/// A population that ids must belong to, with its number of neurons.
#[derive(Clone, Copy)]
pub(super) struct Population {
    pub(super) name: &'static str,
    pub(super) size: u32,
}

impl Population {
    pub(super) fn new(name: &'static str, size: u32) -> Self {
        Self { name, size }
    }

    /// Returns the allowed range of ids, as text for a message.
    fn allowed(self) -> String {
        match self.size.checked_sub(1) {
            Some(last) => format!("must be 0 … {last} (population {})", self.name),
            None => format!("must not occur (population {} is empty)", self.name),
        }
    }
}

/// A one-dimensional dataset of numbers.
pub(super) struct Column {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) dataset: Dataset,
    pub(super) len: usize,
}

impl Column {
    /// Reads ids; each must lie within `population`.
    pub(super) fn ids(&self, rows: Range<usize>, population: Population) -> Result<Vec<u32>> {
        let check = |(row, id): (usize, i128)| match u32::try_from(id) {
            Ok(id) if id < population.size => Ok(id),
            _ => Err(self.fault(row, id, population.allowed())),
        };
        let integers = self.integers(rows.clone())?;
        rows.zip(integers).map(check).collect()
    }

    /// Reads times (ms) and converts them to whole steps of `dt`, at least one.
    pub(super) fn steps(&self, rows: Range<usize>, dt: Ms) -> Result<Vec<Steps>> {
        let times = self.decimals(rows.clone())?;
        let step = |(row, ms)| self.step(row, ms, dt);
        rows.zip(times).map(step).collect()
    }

    /// Reads times like [`steps`](Self::steps), but returns the largest number of steps for times
    /// beyond it.
    pub(super) fn stamps(&self, rows: Range<usize>, dt: Ms) -> Result<Vec<Steps>> {
        let latest = Steps(i32::MAX);
        let times = self.decimals(rows.clone())?;
        let stamp = |(row, ms): (usize, f64)| {
            if ms.is_finite() && ms / dt.0 > f64::from(latest.0) {
                Ok(latest)
            } else {
                self.step(row, ms, dt)
            }
        };
        rows.zip(times).map(stamp).collect()
    }

    /// Converts the time `ms` of row `row` to steps.
    fn step(&self, row: usize, ms: f64, dt: Ms) -> Result<Steps> {
        match Ms(ms).to_steps(dt) {
            Some(steps) if steps >= Steps(1) => Ok(steps),
            _ => {
                let must = format!("must be a whole number of steps of {} ms, at least 1", dt.0);
                Err(self.fault(row, ms, must))
            }
        }
    }

    /// Reads finite floating-point numbers.
    pub(super) fn finite(&self, rows: Range<usize>) -> Result<Vec<f64>> {
        let values: Vec<f64> = match self.number()? {
            TypeDescriptor::Float(_) => self.read(rows.clone())?,
            _ => return Err(self.wrong_type("floating-point numbers")),
        };
        match rows.zip(&values).find(|(_, value)| !value.is_finite()) {
            Some((row, value)) => Err(self.fault(row, value, "must be finite")),
            None => Ok(values),
        }
    }

    /// Reads numbers that people wrote as decimals, such as times: a single-precision 0.1 becomes
    /// 0.1.
    pub(super) fn decimals(&self, rows: Range<usize>) -> Result<Vec<f64>> {
        let widen = |value: f32| value.to_string().parse().expect("a number, as written");
        match self.number()? {
            TypeDescriptor::Float(FloatSize::U4) => {
                Ok(self.read::<f32>(rows)?.into_iter().map(widen).collect())
            }
            TypeDescriptor::Float(_) => self.read(rows),
            _ => Err(self.wrong_type("floating-point numbers")),
        }
    }

    /// Reads integers of any HDF5 integer type.
    pub(super) fn integers(&self, rows: Range<usize>) -> Result<Vec<i128>> {
        match self.number()? {
            TypeDescriptor::Unsigned(_) => Ok(self
                .read::<u64>(rows)?
                .into_iter()
                .map(i128::from)
                .collect()),
            TypeDescriptor::Integer(_) => Ok(self
                .read::<i64>(rows)?
                .into_iter()
                .map(i128::from)
                .collect()),
            _ => Err(self.wrong_type("integers")),
        }
    }

    /// Returns the type of the entries.
    fn number(&self) -> Result<TypeDescriptor> {
        let described = self.dataset.dtype().and_then(|dtype| dtype.to_descriptor());
        described.map_err(|error| self.unreadable(&error))
    }

    /// Reads values as they are stored.
    pub(super) fn read<T: H5Type>(&self, rows: Range<usize>) -> Result<Vec<T>> {
        let values = self.dataset.read_slice_1d(rows);
        let values = values.map_err(|error| self.unreadable(&error))?;
        Ok(values.into_raw_vec_and_offset().0)
    }

    /// Checks that the attribute `units`, if present, is `expected`.
    pub(super) fn check_units(&self, expected: &str) -> Result<()> {
        let Ok(attribute) = self.dataset.attr("units") else {
            return Ok(());
        };
        let units = text(&attribute).map_err(|error| self.unreadable(&error))?;
        if units == expected {
            return Ok(());
        }
        Err(Error::input(format!(
            "{}: {}@units = \"{units}\": must be \"{expected}\"",
            self.path.display(),
            self.name
        )))
    }

    /// Returns the error about one value; `must` says which values are allowed.
    pub(super) fn fault(&self, row: usize, value: impl Display, must: impl Display) -> Error {
        let (path, name) = (self.path.display(), &self.name);
        Error::input(format!("{path}: {name}[{row}] = {value}: {must}"))
    }

    fn wrong_type(&self, must: &str) -> Error {
        let (path, name) = (self.path.display(), &self.name);
        Error::input(format!("{path}: {name}: must be {must}"))
    }

    fn unreadable(&self, error: &hdf5::Error) -> Error {
        let (path, name) = (self.path.display(), &self.name);
        Error::input(format!("{path}: {name} cannot be read: {}", cause(error)))
    }
}

/// Returns the text of a string attribute of any HDF5 string type.
pub(super) fn text(attribute: &Attribute) -> hdf5::Result<String> {
    fn read<T: H5Type + AsRef<[u8]>>(attribute: &Attribute) -> hdf5::Result<String> {
        let values: Vec<T> = attribute.read_raw()?;
        // Read as bytes, because the text may not be valid UTF-8.
        let bytes = values.first().map_or(&[][..], AsRef::as_ref);
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
    if attribute.size() > 1 {
        return Err("attribute: must be one string".into());
    }
    match attribute.dtype()?.to_descriptor()? {
        TypeDescriptor::VarLenUnicode => read::<VarLenUnicode>(attribute),
        TypeDescriptor::VarLenAscii => read::<VarLenAscii>(attribute),
        TypeDescriptor::FixedUnicode(_) => read::<FixedUnicode<64>>(attribute),
        TypeDescriptor::FixedAscii(_) => read::<FixedAscii<64>>(attribute),
        _ => Err("attribute: must be a string".into()),
    }
}
