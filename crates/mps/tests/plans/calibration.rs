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
fn a_weight_of_a_model_comes_back_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calibration.json");
    let mut calibration = calibration();
    calibration.cells[0].sizes = Some([2048, 896, 4864]);
    calibration.cells[0].bucket.weight = Some(DType::BF16);
    calibration.save(&path).expect("saved");
    let loaded = Calibration::load(&path, &key()).expect("loaded");
    assert_eq!(loaded, calibration);
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
fn many_cells_fit_and_more_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calibration.json");
    let mut many = calibration();
    let micros = Micros([12345.6, 11234.5, 123.4]);
    let mut of_bf16_weights = cell(Engine::NdArray, DType::F32, [10, 10, 10]);
    of_bf16_weights.bucket.weight = Some(DType::BF16);
    many.cells = vec![
        Cell {
            micros,
            sizes: Some([2048, 14_336, 16_384]),
            ..of_bf16_weights
        };
        150
    ];
    many.save(&path).expect("fits");
    many.cells = vec![many.cells[0]; 400];
    assert!(matches!(
        many.save(&path),
        Err(CalibrationError::TooLarge { .. })
    ));
    let kept = Calibration::load(&path, &key()).expect("the former file");
    assert_eq!(kept.cells.len(), 150);
}
