#![cfg(unix)]

use super::{End, Ended, run};
use std::process::Command;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn ended(script: &str) -> Ended {
    run(&mut shell(script), LONG, &mut |_| ()).unwrap()
}

fn end(script: &str) -> End {
    ended(script).end
}

#[test]
fn a_child_that_hangs_is_killed_at_its_deadline() {
    let began = Instant::now();
    let limit = Duration::from_millis(300);
    let ended = run(Command::new("sleep").arg("1000"), limit, &mut |_| ()).unwrap();
    assert_eq!(ended.end, End::timed_out(limit, true));
    assert_eq!(ended.end.to_string(), "timed out: killed after 0.3 s");
    assert!(ended.secs >= 0.3 && began.elapsed() < Duration::from_secs(20));
}

#[test]
fn an_error_is_told_without_its_advice() {
    assert!(end("exit 0").is_passed());
    let failed = |reason: &str| End::Failed {
        reason: reason.into(),
    };
    let script = "echo 'warning: odd' >&2; printf 'error: 1 instead of\\n2\\nhelp: report it\\n' >&2; exit 1";
    assert_eq!(end(script), failed("1 instead of\n2"));
    assert_eq!(end("echo 'error: no GPU' >&2; exit 2"), failed("no GPU"));
    let End::Failed { reason } = end("printf 'error: %05000d' 7 >&2; exit 1") else {
        panic!("it failed")
    };
    assert_eq!(reason.len(), 1000);
}

#[test]
fn a_crash_is_told_with_its_signal_and_last_words() {
    let crashed = |script: &str| match end(script) {
        End::Crashed { how } => how,
        other => panic!("{other}"),
    };
    let how = crashed("echo 'a bad argument' >&2; echo >&2; kill -SEGV $$");
    assert!(how.contains("signal: 11"), "{how}");
    assert!(how.ends_with("; last words: a bad argument"), "{how}");
    assert_eq!(crashed("exit 101"), "exit status: 101");
    // An error of ours has words.
    assert_eq!(crashed("exit 1"), "exit status: 1");
}

#[test]
fn lines_are_told_as_they_come_and_results_are_kept() {
    let (mut lines, began) = (vec![], Instant::now());
    let script = "printf 'one\\ntw' >&2; echo result; sleep 1; echo o >&2";
    let mut tell = |line: &str| lines.push((line.to_owned(), began.elapsed()));
    let ended = run(&mut shell(script), LONG, &mut tell).unwrap();
    assert_eq!(ended.stdout, "result\n");
    let texts: Vec<&str> = lines.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(texts, ["one", "two"]);
    assert!(lines[1].1 - lines[0].1 > Duration::from_millis(300));
}

#[test]
fn a_long_result_is_cut() {
    let ended = ended("head -c 2000000 /dev/zero");
    assert!(ended.end.is_passed());
    assert_eq!(ended.stdout.len(), 1 << 20);
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    assert!(run(&mut Command::new("/no/such/program"), LONG, &mut |_| ()).is_err());
}

#[test]
fn ends_are_kept_as_they_are_told() {
    let ends = [
        (End::Passed, r#"{"outcome":"passed"}"#),
        (
            End::timed_out(LONG, false),
            r#"{"outcome":"timed_out","limit_secs":60.0,"has_gone":false}"#,
        ),
    ];
    for (end, text) in ends {
        assert_eq!(serde_json::to_string(&end).unwrap(), text);
        assert_eq!(serde_json::from_str::<End>(text).unwrap(), end);
    }
}
