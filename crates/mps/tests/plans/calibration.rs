//! What is kept of measurements.

use std::fs;

use candle_core::DType;
use metal_candle_mps::order::{Key, Strategy};
use metal_candle_mps::plan::Engine;
use metal_candle_mps::policy::{Calibration, CalibrationError, Cell, MAX_FILE_BYTES, Micros};

use crate::policy::{calibration, cell, key};

#[test]
fn measurements_come_back_as_they_were() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calibration.json");
    calibration().save(&path).expect("saved");
    assert_eq!(
        Calibration::load(&path, &key()).expect("loaded"),
        calibration()
    );
    let others = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(others, 1, "nothing but the file is left");
}

#[test]
fn measurements_of_another_machine_are_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calibration.json");
    calibration().save(&path).expect("saved");
    let changes: [fn(&mut Key); 7] = [
        |k| k.schema += 1,
        |k| k.crate_version.push('0'),
        |k| k.candle_version.push('0'),
        |k| k.architecture = "applegpu_g15d".into(),
        |k| k.gpu = "Apple M3 Ultra".into(),
        |k| k.macos_build = "25A123".into(),
        |k| k.strategy = Strategy::Blocking,
    ];
    for change in changes {
        let mut other = key();
        change(&mut other);
        let error = Calibration::load(&path, &other).expect_err("another key");
        assert!(
            matches!(error, CalibrationError::OtherKey { .. }),
            "{error}"
        );
    }
}

#[test]
fn files_that_are_not_measurements_are_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calibration.json");
    let load = || Calibration::load(&path, &key());
    assert!(matches!(load(), Err(CalibrationError::Io(_))));
    calibration().save(&path).expect("saved");
    let whole = fs::read_to_string(&path).expect("text");
    for text in [
        "",
        "{}",
        "null",
        &whole[..whole.len() / 2],
        &whole.replace("f16", "f12"),
    ] {
        fs::write(&path, text).expect("written");
        assert!(matches!(load(), Err(CalibrationError::Parse(_))), "{text}");
    }
    fs::write(&path, whole + &" ".repeat(MAX_FILE_BYTES)).expect("written");
    assert!(matches!(load(), Err(CalibrationError::TooLarge { .. })));
}

#[test]
fn forty_cells_fit_and_more_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calibration.json");
    let mut many = calibration();
    let micros = Micros([12345.6, 11234.5, 123.4]);
    many.cells = vec![
        Cell {
            micros,
            ..cell(Engine::NdArray, DType::BF16, [10, 10, 10])
        };
        36
    ];
    many.save(&path).expect("fits");
    many.cells = vec![many.cells[0]; 90];
    assert!(matches!(
        many.save(&path),
        Err(CalibrationError::TooLarge { .. })
    ));
    let kept = Calibration::load(&path, &key()).expect("the former file");
    assert_eq!(kept.cells.len(), 36);
}
