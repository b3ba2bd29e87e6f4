//! Runs every model, as one test.
#![cfg(tidegate_loom)]

#[test]
fn every_model_holds() {
    for model in loom_tests::models() {
        let started = std::time::Instant::now();
        (model.run)();
        eprintln!("{:7.2?}  {}", started.elapsed(), model.name);
    }
}
