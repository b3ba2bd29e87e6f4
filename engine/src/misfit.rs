//! A setting that can't work: which, what it is, and what it may be.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::nanos::Nanos;

/// A setting that can't work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub(crate) field: &'static str,
    pub(crate) value: String,
    pub(crate) allowed: String,
}

impl Misfit {
    pub(crate) fn new(
        field: &'static str,
        value: impl fmt::Display,
        allowed: impl fmt::Display,
    ) -> Self {
        Self { field, value: value.to_string(), allowed: allowed.to_string() }
    }
}

/// A value must lie in a range.
pub(crate) fn check<N: PartialOrd + fmt::Display>(
    field: &'static str,
    value: N,
    range: &RangeInclusive<N>,
) -> Result<(), Misfit> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Misfit::new(field, value, format_args!("{} to {}", range.start(), range.end())))
}

/// As [`check`], of a time.
pub(crate) fn check_time(
    field: &'static str,
    value: Duration,
    range: &RangeInclusive<Nanos>,
) -> Result<Nanos, Misfit> {
    let nanos = Nanos::from(value);
    check(field, nanos, range)?;
    Ok(nanos)
}
