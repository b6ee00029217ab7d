//! Exact principal components of a few points in many dimensions (Pearson 1901), by way of their inner products: for
//! n points the work is an n × n eigenproblem, whatever the dimension (Gower 1966); or by way of the covariance where the
//! dimension is smaller. Meant for some hundred of either.

/// Points along their two first principal components, and the share of the variance that these keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// One per point. The signs of the axes are arbitrary.
    pub points: Vec<[f64; 2]>,
    /// In [0, 1]; 1 where all points are equal.
    pub kept: f64,
}

/// Projects points of equal dimension onto the plane in which they spread most.
pub fn plane(points: &[Vec<f64>]) -> Plane {
    let n = points.len();
    let mut inner = centred_products(points);
    let vectors = eigen(&mut inner, n);
    let mut order: Vec<usize> = (0..n).collect();
    let value = |i: usize| inner[i * n + i].max(0.0);
    order.sort_by(|a, b| value(*b).total_cmp(&value(*a)));
    let along = |axis: usize, point: usize| {
        order.get(axis).map_or(0.0, |&e| vectors[point * n + e] * value(e).sqrt())
    };
    let total: f64 = (0..n).map(value).sum();
    let first: f64 = order.iter().take(2).map(|&e| value(e)).sum();
    Plane {
        points: (0..n).map(|i| [along(0, i), along(1, i)]).collect(),
        kept: if total > 0.0 { first / total } else { 1.0 },
    }
}

/// Coordinates of equally long points along each of their `count` first principal components, fewer where there are not
/// so many. The signs of the axes are arbitrary.
pub fn axes(points: &[&[f32]], count: usize) -> Vec<Vec<f64>> {
    let (n, dim) = (points.len(), points.first().map_or(0, |p| p.len()));
    let centred = centred(points, dim);
    let (size, gram) = (n.min(dim), n <= dim);
    let product = |i: usize, j: usize| -> f64 {
        match gram {
            true => centred[i].iter().zip(&centred[j]).map(|(x, y)| x * y).sum(),
            false => centred.iter().map(|p| p[i] * p[j]).sum(),
        }
    };
    let mut matrix = vec![0.0; size * size];
    for i in 0..size {
        for j in i..size {
            matrix[i * size + j] = product(i, j);
            matrix[j * size + i] = matrix[i * size + j];
        }
    }
    let vectors = eigen(&mut matrix, size);
    let value = |i: usize| matrix[i * size + i].max(0.0);
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|a, b| value(*b).total_cmp(&value(*a)));
    let along = |e: usize, point: usize| match gram {
        true => vectors[point * size + e] * value(e).sqrt(),
        false => (0..size).map(|d| centred[point][d] * vectors[d * size + e]).sum(),
    };
    order.into_iter().take(count).map(|e| (0..n).map(|p| along(e, p)).collect()).collect()
}

fn centred(points: &[&[f32]], dim: usize) -> Vec<Vec<f64>> {
    let mut mean = vec![0.0; dim];
    for point in points {
        mean.iter_mut().zip(*point).for_each(|(m, x)| *m += f64::from(*x) / points.len() as f64);
    }
    let around = |p: &&[f32]| p.iter().zip(&mean).map(|(x, m)| f64::from(*x) - m).collect();
    points.iter().map(around).collect()
}

/// Inner products of the points around their mean, `[n, n]`.
fn centred_products(points: &[Vec<f64>]) -> Vec<f64> {
    let n = points.len();
    let dim = points.first().map_or(0, Vec::len);
    let mean: Vec<f64> =
        (0..dim).map(|d| points.iter().map(|p| p[d]).sum::<f64>() / n as f64).collect();
    let centred: Vec<Vec<f64>> =
        points.iter().map(|p| p.iter().zip(&mean).map(|(x, m)| x - m).collect()).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let pair = |i: usize| (i / n, i % n);
    (0..n * n).map(pair).map(|(i, j)| dot(&centred[i], &centred[j])).collect()
}

/// Jacobi's method on a symmetric matrix: afterwards its diagonal holds the eigenvalues, and the columns of what is
/// returned the eigenvectors. Each sweep rotates every pair of axes once; some ten sweeps reach rounding.
fn eigen(matrix: &mut [f64], n: usize) -> Vec<f64> {
    const SWEEPS: usize = 60;
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    let size: f64 = matrix.iter().map(|x| x * x).sum();
    for _ in 0..SWEEPS {
        let apart = |i: usize| if i / n == i % n { 0.0 } else { matrix[i] * matrix[i] };
        if (0..n * n).map(apart).sum::<f64>() <= 1e-28 * size {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(matrix, &mut vectors, n, p, q);
            }
        }
    }
    vectors
}

/// Turns axes `p` and `q` so that their product vanishes.
fn rotate(matrix: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    let off = matrix[p * n + q];
    if off == 0.0 {
        return;
    }
    let theta = (matrix[q * n + q] - matrix[p * n + p]) / (2.0 * off);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    let turn = |a: f64, b: f64| (c * a - s * b, s * a + c * b);
    for k in 0..n {
        let (a, b) = turn(matrix[k * n + p], matrix[k * n + q]);
        (matrix[k * n + p], matrix[k * n + q]) = (a, b);
        let (a, b) = turn(vectors[k * n + p], vectors[k * n + q]);
        (vectors[k * n + p], vectors[k * n + q]) = (a, b);
    }
    for k in 0..n {
        let (a, b) = turn(matrix[p * n + k], matrix[q * n + k]);
        (matrix[p * n + k], matrix[q * n + k]) = (a, b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_plane_keep_their_distances() {
        let flat = [[0.0, 0.0], [3.0, 0.0], [3.0, 1.0], [-1.0, 2.0]];
        let points: Vec<Vec<f64>> = flat.iter().map(|[x, y]| vec![*x, 5.0, x + y, *y]).collect();
        let got = plane(&points);
        assert!((got.kept - 1.0).abs() < 1e-12);
        let distance = |a: &[f64], b: &[f64]| {
            a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
        };
        for i in 0..4 {
            for j in 0..4 {
                let before = distance(&points[i], &points[j]);
                assert!((distance(&got.points[i], &got.points[j]) - before).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn both_ways_lead_to_the_same_axes() {
        let value = |i: usize| ((i * i * 7 + i * 3) % 23) as f32;
        let wide: Vec<Vec<f32>> =
            (0..6).map(|p| (0..6).map(|d| value(p * 7 + d)).collect()).collect();
        // A seventh component that never varies turns the choice.
        let wider: Vec<Vec<f32>> = wide.iter().map(|p| [&p[..], &[5.0]].concat()).collect();
        let twice: Vec<&[f32]> = wide.iter().chain(&wide).map(|p| &p[..]).collect();
        let by_gram = axes(&wider.iter().map(|p| &p[..]).collect::<Vec<_>>(), 3);
        let by_covariance = axes(&twice, 3);
        for (gram, covariance) in by_gram.iter().zip(&by_covariance) {
            let sign = (gram[0] * covariance[0]).signum();
            for (a, b) in gram.iter().zip(covariance) {
                assert!((a - sign * b).abs() < 1e-9, "{a} {b}");
            }
        }
        assert_eq!((by_gram.len(), axes(&[], 2).len(), axes(&[&[1.0, 2.0]], 5).len()), (3, 0, 1));
    }

    #[test]
    fn equal_points_and_none_have_a_plane() {
        assert_eq!(plane(&vec![vec![1.0, 2.0]; 3]).points, [[0.0; 2]; 3]);
        assert!(plane(&[]).points.is_empty());
    }
}
