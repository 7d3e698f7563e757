use super::*;
use candle_core::{DType, Device};

/// Keys of positions `from..from + t`: every number is its position.
fn keys(from: usize, t: usize) -> Tensor {
    let positions: Vec<f32> = (from..from + t).flat_map(|p| [p as f32; 3]).collect();
    let keys = Tensor::from_vec(positions, (1, 1, t, 3), &Device::Cpu).unwrap();
    keys.repeat((1, 2, 1, 1)).unwrap()
}

/// Positions that a cache gives after new tokens, ordered where the cache says they are.
fn seen(cache: &mut dyn Cache, t: usize) -> Vec<usize> {
    let new = keys(cache.len(), t);
    let pieces = cache.append(&new, &(&new * 2.0).unwrap()).unwrap();
    let [k, v] = [0, 1].map(|i| {
        let pieces: Vec<_> = pieces.iter().map(|piece| &piece[i]).collect();
        Tensor::cat(&pieces, 2).unwrap()
    });
    assert_eq!(k.dims(), v.dims());
    let twice = (&k * 2.0).unwrap().flatten_all().unwrap();
    assert_eq!(
        twice.to_vec1::<f32>().unwrap(),
        v.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    );
    let of_head = k.narrow(1, 1, 1).unwrap().narrow(3, 0, 1).unwrap();
    let of_head = of_head.flatten_all().unwrap().to_dtype(DType::U32).unwrap();
    let mut positions: Vec<usize> = of_head
        .to_vec1::<u32>()
        .unwrap()
        .into_iter()
        .map(|p| p as usize)
        .collect();
    if t == 1 {
        positions.sort_unstable();
    }
    positions
}

fn forms() -> Vec<(Box<dyn Cache>, usize)> {
    vec![
        (Box::<Contiguous>::default(), usize::MAX),
        (Box::<Paged>::default(), usize::MAX),
        (Box::new(Rotating::new(1)), 1),
        (Box::new(Rotating::new(5)), 5),
        (Box::new(Rotating::new(100)), 100),
    ]
}

#[test]
fn new_tokens_see_those_of_their_window_in_order() {
    for (mut cache, window) in forms() {
        let mut len = 0;
        for t in [3, 1, 1, 1, 4, 1, 7, 2, 300, 1, 1, 64, 1] {
            let first = (len + 1_usize).saturating_sub(window);
            let expected: Vec<usize> = (first..len + t).collect();
            assert_eq!(seen(&mut *cache, t), expected, "{cache:?}");
            len += t;
            assert_eq!(cache.len(), len);
        }
    }
}

/// What mlx-lm's `RotatingKVCache` keeps: its first tokens, and as many of the last ones as the window leaves room for.
#[test]
fn kept_tokens_are_seen_before_those_of_the_window() {
    for (keep, window) in [(1, 2), (4, 5), (4, 6), (4, 9), (3, 100)] {
        let mut cache = Rotating::keeping(keep, window);
        let mut len = 0;
        for t in [2, 1, 1, 1, 4, 1, 7, 2, 300, 1, 1, 1, 1, 64, 1, 1] {
            let last = (len + 1 + keep).saturating_sub(window).max(keep.min(len));
            let expected: Vec<usize> = (0..keep.min(len)).chain(last..len + t).collect();
            assert_eq!(seen(&mut cache, t), expected, "{cache:?}");
            len += t;
        }
        assert_eq!(cache.window(), Some(window));
    }
}

#[test]
fn kept_tokens_are_never_gone() {
    let mut cache = Rotating::keeping(4, 10);
    seen(&mut cache, 9);
    cache.trim(2).unwrap();
    assert_eq!(seen(&mut cache, 9), (0..11).collect::<Vec<_>>());
    let error = cache.trim(8).unwrap_err().to_string();
    let expected = "a cache over 10 tokens holds those from 5 on: it cannot go back to 8 tokens";
    assert_eq!(error, expected);
    assert_eq!(seen(&mut cache, 1), [0, 1, 2, 3, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn a_trimmed_cache_goes_on_from_there() {
    for (mut cache, window) in forms() {
        seen(&mut *cache, 80);
        cache.trim(90).unwrap();
        assert_eq!(cache.len(), 80);
        match cache.trim(66) {
            Ok(()) => {
                let first = 67_usize.saturating_sub(window);
                assert_eq!(seen(&mut *cache, 1), (first..67).collect::<Vec<_>>());
            }
            Err(error) => {
                assert!(window < 100, "{error}");
                assert_eq!(cache.len(), 80, "nothing is lost");
            }
        }
    }
}

#[test]
fn a_window_goes_back_as_far_as_it_is_held() {
    let mut cache = Rotating::new(5);
    seen(&mut cache, 20);
    cache.trim(19).unwrap();
    let error = cache.trim(18).unwrap_err().to_string();
    let expected = "a cache over 5 tokens holds those from 15 on: it cannot go back to 18 tokens";
    assert_eq!(error, expected);
    assert_eq!(seen(&mut cache, 2), [15, 16, 17, 18, 19, 20]);
}

#[test]
fn a_fork_and_its_origin_do_not_disturb_each_other() {
    for (mut cache, window) in forms() {
        seen(&mut *cache, 70);
        let mut fork = cache.fork().unwrap();
        let other = keys(1000, 1);
        fork.append(&other, &other).unwrap();
        let first = 71_usize.saturating_sub(window);
        assert_eq!(seen(&mut *cache, 1), (first..71).collect::<Vec<_>>());
        assert_eq!((fork.len(), cache.len()), (71, 71));
    }
}

#[test]
fn forks_share_whole_pages() {
    let mut cache = Paged::default();
    seen(&mut cache, 2 * paged::PAGE_TOKENS + 1);
    let mut fork = cache.clone();
    seen(&mut fork, 1);
    let shared = cache.pages().zip(fork.pages());
    let shared: Vec<bool> = shared.map(|(a, b)| std::ptr::eq(a, b)).collect();
    assert_eq!(shared, [true, true, false]);
}
