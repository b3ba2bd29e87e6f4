//! From SQLite's result codes to causes.
//!
//! Messages are not passed on: they may hold statements, and a trigger's may hold values. Only the name
//! of a constraint is cut out, and only where it can't be anything but a name.

use std::sync::Arc;

use rusqlite::{Error, ErrorCode, ffi};

use super::writer::WriteError;
use crate::error::{Cause, ConstraintKind};

pub(super) fn of_write(error: &WriteError) -> Cause {
    match error {
        WriteError::Sqlite(error) => of(error),
        WriteError::Refused(reason) => Cause::Refused(reason),
    }
}

pub(super) fn of(error: &Error) -> Cause {
    match error {
        Error::SqliteFailure(error, message) => of_code(*error, message.as_deref()),
        Error::SqlInputError { error, .. } => of_code(*error, None),
        Error::ToSqlConversionFailure(_)
        | Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::NulError(_) => Cause::WrongType,
        Error::InvalidPath(_) => Cause::CannotOpen { code: 0 },
        _ => Cause::Statement { code: 0 },
    }
}

fn of_code(error: ffi::Error, message: Option<&str>) -> Cause {
    let code = error.extended_code;
    match error.code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed => Cause::Busy,
        ErrorCode::DiskFull => Cause::DiskFull,
        ErrorCode::OutOfMemory => Cause::OutOfMemory,
        ErrorCode::SystemIoFailure => Cause::Io { code },
        ErrorCode::OperationInterrupted => Cause::Interrupted,
        ErrorCode::ReadOnly => Cause::ReadOnly,
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Cause::CannotOpen { code },
        ErrorCode::NotADatabase => Cause::NotADatabase,
        ErrorCode::DatabaseCorrupt => Cause::Corrupt { code },
        ErrorCode::TooBig => Cause::TooLarge,
        ErrorCode::TypeMismatch => Cause::WrongType,
        ErrorCode::ConstraintViolation => Cause::Constraint {
            kind: constraint_kind(code),
            name: message.and_then(constraint_name).map(Arc::from),
        },
        _ => Cause::Statement { code },
    }
}

fn constraint_kind(code: i32) -> ConstraintKind {
    match code {
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            ConstraintKind::PrimaryKey
        }
        ffi::SQLITE_CONSTRAINT_UNIQUE => ConstraintKind::Unique,
        ffi::SQLITE_CONSTRAINT_NOTNULL => ConstraintKind::NotNull,
        ffi::SQLITE_CONSTRAINT_CHECK => ConstraintKind::Check,
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ConstraintKind::ForeignKey,
        ffi::SQLITE_CONSTRAINT_DATATYPE => ConstraintKind::DataType,
        ffi::SQLITE_CONSTRAINT_TRIGGER => ConstraintKind::Trigger,
        _ => ConstraintKind::Other,
    }
}

/// The name in `… constraint failed: NAME` or `cannot store … in … column NAME`.
///
/// A `CHECK` without a name shows its expression there, and a trigger anything it likes: only what is
/// put together from identifiers, dots and commas is taken for a name.
fn constraint_name(message: &str) -> Option<&str> {
    let name = match message.split_once(" constraint failed: ") {
        Some((_, name)) => name,
        None => message.strip_prefix("cannot store ")?.rsplit_once(" column ")?.1,
    };
    let name = name.strip_prefix("index '").and_then(|n| n.strip_suffix('\'')).unwrap_or(name);
    let is_identifier = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    name.split(", ").all(|column| column.split('.').all(is_identifier)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constraint_is_named_where_the_message_holds_a_name() {
        for (message, name) in [
            ("UNIQUE constraint failed: t.a", Some("t.a")),
            ("UNIQUE constraint failed: t.a, t.b", Some("t.a, t.b")),
            ("UNIQUE constraint failed: index 'by_lower'", Some("by_lower")),
            ("CHECK constraint failed: positive", Some("positive")),
            ("cannot store TEXT value in INTEGER column t.a", Some("t.a")),
        ] {
            assert_eq!(constraint_name(message), name, "{message}");
        }
    }

    #[test]
    fn expressions_and_what_a_trigger_says_are_not_passed_on() {
        for message in [
            "CHECK constraint failed: a > 0",
            "CHECK constraint failed: secret='hunter2'",
            "FOREIGN KEY constraint failed",
            "the card 4111 1111 is refused",
            "UNIQUE constraint failed: ",
        ] {
            assert_eq!(constraint_name(message), None, "{message}");
        }
    }
}
