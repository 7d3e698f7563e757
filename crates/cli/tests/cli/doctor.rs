use crate::fixture::Fixture;

#[test]
fn the_machine_is_described() {
    let fixture = Fixture::new();
    let report = fixture.ok_json("doctor --json");
    let processor = &report["processor"];
    assert!(processor["cores"].as_u64().unwrap() > 0);
    assert!(!processor["simd"].as_str().unwrap().is_empty());
    assert_eq!(report["backends"][0], "cpu");
    let mut command = fixture.command("doctor");
    let output = command.env("METAL_CANDLE_SIMD", "scalar").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "processor",
        "instructions  scalar, by METAL_CANDLE_SIMD; it has",
        "GPU",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
}

#[cfg(not(target_vendor = "apple"))]
#[test]
fn a_machine_without_an_apple_gpu_says_so() {
    let fixture = Fixture::new();
    assert_eq!(
        fixture.ok_json("doctor --json")["gpus"],
        serde_json::json!([])
    );
    assert!(fixture.ok("doctor").stdout.contains("none for this build"));
    fixture.fails("calibrate", 2, &["no Apple GPU", "doctor"]);
    fixture.fails("calibrate --device metal", 2, &["this build has cpu only"]);
}

#[test]
fn only_a_gpu_is_calibrated() {
    let fixture = Fixture::new();
    fixture.fails("calibrate --device cpu", 2, &["only an Apple GPU"]);
}
