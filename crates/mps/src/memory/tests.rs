use super::*;
use std::collections::BTreeSet;

fn wait(stock: &mut Stock<u32>) -> Vec<Arc<u32>> {
    let wait = stock.waiting();
    stock.waited(wait)
}

fn with_one(number: u32, bytes: usize) -> (Stock<u32>, Arc<u32>) {
    let (mut stock, buffer) = (Stock::default(), Arc::new(number));
    stock.add(bytes, &buffer);
    (stock, buffer)
}

#[test]
fn a_buffer_is_at_most_an_eighth_longer() {
    assert_eq!([0, 256, 257].map(buffer_bytes), [256, 256, 288]);
    for bytes in (256..5000).chain([(1 << 40) - 1, 1 << 40, (1 << 40) + 1]) {
        let length = buffer_bytes(bytes);
        assert!(
            length >= bytes && length - bytes <= bytes / STEPS,
            "{bytes}"
        );
        assert_eq!(buffer_bytes(length), length);
    }
}

#[test]
fn a_buffer_serves_again_once_it_is_free() {
    let (mut stock, buffer) = with_one(7, 1000);
    assert_eq!(stock.take(1000), None);
    drop(buffer);
    assert_eq!(stock.take(2000), None, "another size");
    assert_eq!(stock.take(1001).as_deref(), Some(&7));
}

#[test]
fn what_is_of_use_is_lent_again_and_again() {
    let mut stock = Stock::default();
    let buffers: Vec<_> = (0..9).map(Arc::new).collect();
    buffers.iter().for_each(|buffer| stock.add(1000, buffer));
    drop(buffers);
    // Two at a time, of which one is a temporary: seven are not needed.
    let mut lent = BTreeSet::new();
    for _ in 0..2 * MOST_WAITS {
        let held = stock.take(1000).unwrap();
        for _ in 0..9 {
            lent.extend([*stock.take(1000).unwrap(), *held]);
        }
        drop(held);
        wait(&mut stock);
    }
    assert_eq!(lent.len(), 2, "{lent:?}");
    assert_eq!(stock.sizes[&buffer_bytes(1000)].free.len(), 2);
}

#[test]
fn a_buffer_is_lent_to_one_at_a_time() {
    let mut stock = Stock::default();
    for number in 0..9 {
        stock.add(1000, &Arc::new(number));
    }
    let mut taken: Vec<_> = (0..9).map(|_| stock.take(1000).unwrap()).collect();
    assert_eq!(stock.take(1000), None);
    assert_eq!(taken.iter().map(|n| **n).collect::<BTreeSet<_>>().len(), 9);
    // One that was lent long ago.
    let first = *taken.remove(0);
    assert_eq!(stock.take(1000).as_deref(), Some(&first));
}

#[test]
fn the_host_may_write_only_what_the_gpu_is_done_with() {
    let (mut stock, buffer) = with_one(7, 1000);
    wait(&mut stock);
    drop(buffer);
    assert_eq!(stock.take_settled(1000), None);
    // This one may have begun before the buffer's last use.
    let early = stock.waiting();
    wait(&mut stock);
    stock.waited(early);
    assert_eq!(stock.take_settled(1000), None);
    wait(&mut stock);
    let buffer = stock.take_settled(1000);
    assert_eq!(buffer.as_deref(), Some(&7));
    drop(buffer);
    assert_eq!(stock.take_settled(1000), None, "it was lent since");
}

#[test]
fn a_stock_with_settled_buffers_does_not_grow() {
    let (mut stock, large) = with_one(1, 4096);
    let small = Arc::new(2);
    stock.add(1024, &small);
    drop((large, small));
    wait(&mut stock);
    assert!(stock.make_room(512).is_empty(), "the GPU may be at work");
    wait(&mut stock);
    let given_up = stock.make_room(512).into_iter().map(|buffer| *buffer);
    assert_eq!(given_up.collect::<Vec<_>>(), [1]);
    assert_eq!(stock.take(1024).as_deref(), Some(&2));
}

#[test]
fn what_nobody_asks_for_is_given_up() {
    let (mut stock, buffer) = with_one(7, 1000);
    for _ in 0..2 * MOST_WAITS {
        assert!(wait(&mut stock).is_empty(), "it is in use");
    }
    drop(buffer);
    let given_up = (0..=MOST_WAITS).flat_map(|_| wait(&mut stock)).count();
    assert_eq!((given_up, wait(&mut stock).len()), (0, 1));
    assert_eq!(stock.take(1000), None);
}
