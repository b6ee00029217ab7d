//! How long a large bundle takes to verify: 10,000 samples and a hundred rows.

use toxiclip::timer::Timer;

use super::bundle::{SAMPLES, large, verify};

#[test]
fn a_hundred_rows_on_ten_thousand_samples_are_verified() {
    let bytes = large();
    let start = Timer::start();
    let done = verify(&bytes);
    let seconds = start.seconds();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("102 values and their intervals follow"), "{said}");
    assert!(said.contains("SKIPPED  questions, samples and poison"), "{said}");
    // For people: a machine with other work may take several times as long.
    println!(
        "{} MB, 102 rows, {SAMPLES} samples each: verified in {seconds:.1} s",
        bytes.len() >> 20
    );
}
