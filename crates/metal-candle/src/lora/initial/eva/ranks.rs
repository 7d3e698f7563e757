//! Ranks by explained variance.

/// Ranks of layers that have `budget` together: a component of a layer counts by the share of the variance of the layer's
/// inputs that it explains, and the components of the largest shares are taken. Where shares are equal, as they are of layers
/// that share an input, the first layer of `order` has it.
pub(super) fn ranks(ratios: &[&[f64]], order: &[usize], budget: usize) -> Vec<usize> {
    let components = order
        .iter()
        .flat_map(|&layer| ratios[layer].iter().map(move |ratio| (*ratio, layer)));
    let mut components: Vec<(f64, usize)> = components.collect();
    components.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut ranks = vec![0; ratios.len()];
    for (_, layer) in components.into_iter().take(budget) {
        ranks[layer] += 1;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::ranks;

    #[test]
    fn components_of_the_largest_shares_are_taken() {
        let (a, b, c) = ([0.5, 0.2], [0.9, 0.05], [0.04, 0.01]);
        assert_eq!(ranks(&[&a, &b, &c], &[0, 1, 2], 3), [2, 1, 0]);
        assert_eq!(ranks(&[&a, &b, &c], &[0, 1, 2], 6), [2, 2, 2]);
    }

    #[test]
    fn of_equal_shares_the_first_in_order_is_taken() {
        let shared = [0.5, 0.2];
        assert_eq!(ranks(&[&shared, &shared], &[0, 1], 3), [2, 1]);
        assert_eq!(ranks(&[&shared, &shared], &[1, 0], 3), [1, 2]);
    }
}
