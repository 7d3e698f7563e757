/tmp/wt-soft/crates/soft-metal/target/debug/deps/soft_objc-146c158389497633.d: objc/src/lib.rs objc/src/block.rs objc/src/census.rs objc/src/class.rs objc/src/message.rs objc/src/method.rs objc/src/nsobject.rs objc/src/object.rs objc/src/pool.rs objc/src/prelude.rs objc/src/protocol.rs objc/src/selector.rs objc/src/types.rs objc/src/weak.rs objc/src/zombie.rs

/tmp/wt-soft/crates/soft-metal/target/debug/deps/libsoft_objc-146c158389497633.rlib: objc/src/lib.rs objc/src/block.rs objc/src/census.rs objc/src/class.rs objc/src/message.rs objc/src/method.rs objc/src/nsobject.rs objc/src/object.rs objc/src/pool.rs objc/src/prelude.rs objc/src/protocol.rs objc/src/selector.rs objc/src/types.rs objc/src/weak.rs objc/src/zombie.rs

/tmp/wt-soft/crates/soft-metal/target/debug/deps/libsoft_objc-146c158389497633.rmeta: objc/src/lib.rs objc/src/block.rs objc/src/census.rs objc/src/class.rs objc/src/message.rs objc/src/method.rs objc/src/nsobject.rs objc/src/object.rs objc/src/pool.rs objc/src/prelude.rs objc/src/protocol.rs objc/src/selector.rs objc/src/types.rs objc/src/weak.rs objc/src/zombie.rs

objc/src/lib.rs:
objc/src/block.rs:
objc/src/census.rs:
objc/src/class.rs:
objc/src/message.rs:
objc/src/method.rs:
objc/src/nsobject.rs:
objc/src/object.rs:
objc/src/pool.rs:
objc/src/prelude.rs:
objc/src/protocol.rs:
objc/src/selector.rs:
objc/src/types.rs:
objc/src/weak.rs:
objc/src/zombie.rs:
