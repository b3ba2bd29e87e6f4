//! The seqlock: no reader sees half a block.

use crate::{explore, list};
use loom::thread;
use ringbuf::seqlock;

list![
    no_reader_sees_half_a_block,
    a_reader_waits_out_a_writer,
    no_reader_sees_a_block_with_the_progress_of_another,
];

fn no_reader_sees_half_a_block() {
    explore(3, || {
        let (mut writer, reader) = seqlock(2);
        let publisher = thread::spawn(move || {
            writer.publish(&[1, 1]);
            writer.publish(&[2, 2]);
        });
        let mut last = 0;
        for _ in 0..2 {
            let mut block = [9; 2];
            if reader.try_read(&mut block).is_some() {
                assert_eq!(block[0], block[1], "torn");
                assert!(block[0] >= last, "went back");
                last = block[0];
            }
        }
        publisher.join().unwrap();
        let mut block = [9; 2];
        reader.read(&mut block);
        assert_eq!(block, [2, 2]);
    });
}

fn a_reader_waits_out_a_writer() {
    explore(3, || {
        let (mut writer, reader) = seqlock(2);
        let publisher = thread::spawn(move || writer.publish(&[1, 1]));
        let mut block = [9; 2];
        reader.read(&mut block);
        assert!(block == [0, 0] || block == [1, 1]);
        publisher.join().unwrap();
    });
}

fn no_reader_sees_a_block_with_the_progress_of_another() {
    explore(3, || {
        let (mut writer, reader) = seqlock(1);
        let publisher = thread::spawn(move || {
            writer.publish(&[10]);
            writer.progress(11);
            writer.publish(&[20]);
            writer.progress(21);
        });
        for _ in 0..2 {
            let mut block = [0];
            if let Some(progress) = reader.try_read(&mut block) {
                assert!(progress == 0 || progress == block[0] + 1, "{block:?} and {progress}");
            }
        }
        publisher.join().unwrap();
        let mut block = [0];
        assert_eq!((reader.read(&mut block), block), (21, [20]));
    });
}
