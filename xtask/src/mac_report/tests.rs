use super::child::{self, End};
use super::options::Options;
use super::report::{Outcome, Report, Run};
use super::runner::{shortened, without_folders};
use super::steps::STEPS;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// A file of this process in the folder for temporary ones.
fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("mac-report-{}-{name}", std::process::id()))
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn a_step_that_hangs_is_killed_with_what_it_started() {
    let output = file("hangs");
    let began = Instant::now();
    let end = child::run(
        &mut shell("sleep 601 & echo $!; wait"),
        Duration::from_secs(1),
        &output,
    )
    .unwrap();
    assert_eq!(end, End::TimedOut { has_gone: true });
    assert!(began.elapsed() < Duration::from_secs(10));
    let pid = std::fs::read_to_string(&output).unwrap().trim().to_owned();
    assert!(!pid.is_empty());
    let is_there = || {
        shell(&format!("ps -o stat= -p {pid} | grep -qv Z"))
            .status()
            .unwrap()
            .success()
    };
    while is_there() && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!is_there(), "{pid} outlives its parent");
    std::fs::remove_file(output).unwrap();
}

#[test]
fn how_a_step_ended_is_told_with_all_that_it_said() {
    let output = file("ends");
    let run =
        |command: &mut Command| child::run(command, Duration::from_secs(60), &output).unwrap();
    assert_eq!(run(&mut shell("echo out; echo err >&2")), End::Passed);
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "out\nerr\n");
    let End::Failed(why) = run(&mut shell("exit 3")) else {
        panic!("it failed")
    };
    assert!(why.contains('3'), "{why}");
    let End::Failed(why) = run(&mut Command::new("/no/such/program")) else {
        panic!("it failed")
    };
    assert!(why.contains("cannot run /no/such/program"), "{why}");
    std::fs::remove_file(output).unwrap();
}

#[test]
fn steps_need_what_comes_before_them() {
    for (i, step) in STEPS.iter().enumerate() {
        let before: Vec<&str> = STEPS[..i].iter().map(|step| step.name).collect();
        assert!(!before.contains(&step.name), "{} twice", step.name);
        for other in step.needs.iter().chain(&step.unless) {
            assert!(before.contains(other), "{} needs {other}", step.name);
        }
    }
}

#[test]
fn what_is_asked_for_has_names() {
    let parse =
        |line: &str| Options::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let options = parse("--dry-run --only doctor,soak-1000 --model folder").unwrap();
    assert!(
        options.dry_run && options.only == ["doctor", "soak-1000"] && options.model == "folder"
    );
    for wrong in ["--only nothing", "--only", "--dry", "calibrate"] {
        assert_eq!(parse(wrong), None, "{wrong}");
    }
}

#[test]
fn what_fails_is_counted_and_what_is_not_run_is_no_failure() {
    let run = |outcome| Run {
        name: "soak",
        what: "memory",
        outcome,
        seconds: 1.25,
        limit: Duration::from_secs(60),
        output: "01-soak.txt".into(),
        text: None,
    };
    let mut report = Report::default();
    report.add(run(Outcome::Ended(End::Passed)));
    report.add(run(Outcome::NotRun("`build` did not pass".into())));
    assert!(!report.has_failures());
    let hung = run(Outcome::Ended(End::TimedOut { has_gone: false }));
    assert_eq!(hung.line(), "hung: killed after 60 s, and is still there");
    report.add(hung);
    assert!(report.has_failures());
    assert_eq!(report.count(), "1 steps passed, 1 failed, 1 were not run");
}

#[test]
fn a_long_output_keeps_both_ends() {
    assert_eq!(shortened(b"whole", 5), "whole");
    assert_eq!(
        shortened(b"begin, much, end", 10),
        "begin\n... 6 bytes are left out ...\n, end"
    );
}

#[test]
fn folders_of_the_user_are_left_out() {
    let home = std::env::var("HOME").unwrap();
    let root = format!("{home}/checkout");
    let text = format!("{root}/crates/a.rs: see {home}/.cargo");
    assert_eq!(
        without_folders(&text, root.as_ref()),
        "./crates/a.rs: see ~/.cargo"
    );
}
