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
fn a_processor_is_checked_in_other_processes() {
    let fixture = Fixture::new();
    let words = "doctor --check --device cpu --only softmax,training";
    let ended = fixture.ok(words);
    assert!(
        ended.stderr.contains("check 2 of 2 on cpu: training"),
        "{}",
        ended.stderr
    );
    for line in ["processor", "cpu: 2 of 2 checks passed"] {
        assert!(ended.stdout.contains(line), "{line} in {}", ended.stdout);
    }
    let check = fixture.ok_json(&format!("{words} --json"))["check"].clone();
    assert_eq!(check["passed"], true, "{check}");
    assert_eq!(check["checks"][0]["name"], "softmax");
    assert_eq!(check["checks"][1]["outcome"], "passed");
    // It is a GPU that has to prove itself.
    assert!(check["kept"].is_null() && !fixture.path("cache").exists());
}

#[test]
fn a_check_that_takes_too_long_is_killed_and_told() {
    let fixture = Fixture::new();
    let words = "doctor --check --device cpu --only attention,matmul --limit 0.001";
    let ended = fixture.run(words);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for words in [
        "timed out: killed after 0.001 s",
        "cpu: 0 of 2 checks passed",
    ] {
        assert!(ended.stdout.contains(words), "{}", ended.stdout);
    }
}

#[test]
fn a_check_that_is_not_there_is_refused() {
    let fixture = Fixture::new();
    fixture.fails("doctor --check --only sofmax", 2, &["sofmax", "softmax"]);
    fixture.fails("doctor --only softmax", 2, &["--check"]);
    fixture.fails("doctor --check --limit 0", 2, &["0.001 to 86400"]);
    fixture.fails("doctor --check --device metal:x", 2, &["metal:N"]);
    let ended = fixture.run("doctor --check --device cpu --only litmus");
    assert_eq!(ended.code, Some(1));
    let told = "failed: there is no check litmus of this device";
    assert!(ended.stdout.contains(told), "{}", ended.stdout);
}

#[test]
fn only_a_gpu_is_calibrated() {
    let fixture = Fixture::new();
    fixture.fails("calibrate --device cpu", 2, &["only an Apple GPU"]);
    fixture.fails("calibrate --sizes 16x16", 2, &["--sizes", "powers of two"]);
}
