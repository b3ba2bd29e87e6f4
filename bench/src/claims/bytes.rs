//! Rows as bytes, as they lie in a file and travel over a socket.

use crate::checksum::{Checksum, Digest};
use crate::workload::Row;

/// The bytes of one row.
pub(crate) const ROW_BYTES: usize = 32;

/// Appends rows to `bytes`, each as four little-endian words.
pub(crate) fn write(rows: &[Row], bytes: &mut Vec<u8>) {
    for row in rows {
        for word in [row.key, row.seq, row.rest[0], row.rest[1]] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }
}

/// Adds the rows that `bytes` hold. A row that is not whole is one that is missing.
pub(crate) fn add(bytes: &[u8], sum: &mut Checksum) {
    for row in bytes.chunks_exact(ROW_BYTES) {
        let word = |nth: usize| {
            let word = row[nth * 8..][..8].try_into().expect("a row has four words");
            u64::from_le_bytes(word)
        };
        let row = Row { key: word(0), seq: word(1), rest: [word(2), word(3)] };
        sum.add(row.key, &[row]);
    }
}

/// What rows in `bytes` come to, if their keys are below `keys`.
pub(crate) fn digest(bytes: &[u8], keys: u32) -> Digest {
    let mut sum = Checksum::new(keys);
    add(bytes, &mut sum);
    sum.digest()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    #[test]
    fn rows_come_back_from_their_bytes() {
        let workload = Workload { items: 100, keys: 5 };
        let rows: Vec<Row> = workload.rows().collect();
        let mut bytes = Vec::new();
        write(&rows, &mut bytes);
        assert_eq!(bytes.len(), 100 * ROW_BYTES);
        assert_eq!(digest(&bytes, 5), workload.digest());
        bytes[77] ^= 1;
        assert_ne!(digest(&bytes, 5), workload.digest());
    }
}
