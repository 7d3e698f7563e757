/tmp/wt-soft/crates/soft-metal/target/debug/deps/soft_metal_wrapper-f7c9f90abaa3d860.d: wrapper/src/main.rs wrapper/src/arguments.rs wrapper/src/shadow.rs wrapper/src/table.rs

/tmp/wt-soft/crates/soft-metal/target/debug/deps/soft_metal_wrapper-f7c9f90abaa3d860: wrapper/src/main.rs wrapper/src/arguments.rs wrapper/src/shadow.rs wrapper/src/table.rs

wrapper/src/main.rs:
wrapper/src/arguments.rs:
wrapper/src/shadow.rs:
wrapper/src/table.rs:

# env-dep:CARGO_PKG_VERSION=0.1.0
