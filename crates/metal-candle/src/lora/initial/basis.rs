//! Orthonormal vectors by Householder's reflections, as LAPACK's QR decomposition has them.

/// Replaces vectors by orthonormal ones of which the first `i` span what the first `i` given ones do, for each `i`.
/// There are no more of them than they have elements.
pub(super) fn orthonormal(vectors: &mut [Vec<f64>]) {
    let mut reflections: Vec<Vec<f64>> = vec![];
    for i in 0..vectors.len() {
        let reflection = reflection(&vectors[i][i..]);
        for vector in &mut vectors[i + 1..] {
            reflect(&reflection, &mut vector[i..]);
        }
        reflections.push(reflection);
    }
    for (i, vector) in vectors.iter_mut().enumerate() {
        vector.fill(0.0);
        vector[i] = 1.0;
        for (first, reflection) in reflections.iter().enumerate().rev() {
            reflect(reflection, &mut vector[first..]);
        }
    }
}

/// Normal of the plane in which `vector` is mirrored to lie along the first axis; zeros where it has no length.
fn reflection(vector: &[f64]) -> Vec<f64> {
    let mut normal = vector.to_vec();
    if let Some(first) = normal.first_mut() {
        *first += first.signum() * length(vector);
    }
    let length = length(&normal);
    if length > 0.0 {
        normal.iter_mut().for_each(|x| *x /= length);
    }
    normal
}

fn reflect(normal: &[f64], vector: &mut [f64]) {
    let twice = 2.0 * dot(normal, vector);
    for (x, n) in vector.iter_mut().zip(normal) {
        *x -= twice * n;
    }
}

/// Sum of products in eight parts, which vector instructions add side by side.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (chunks_a, chunks_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = chunks_a.remainder().iter().zip(chunks_b.remainder());
    let rest: f64 = rest.map(|(a, b)| a * b).sum();
    for (a, b) in chunks_a.zip(chunks_b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + rest
}

pub(super) fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}
