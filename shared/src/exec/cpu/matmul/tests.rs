use super::*;
use crate::seed::Seed;

fn random(n: usize, name: &str) -> Vec<f32> {
    let mut s = Seed::new(3).child(name).stream();
    (0..n).map(|_| s.normal()).collect()
}

#[test]
fn all_layouts_agree_with_the_definition() {
    let (m, k, n) = (33, 77, 19);
    let (a, b) = (random(m * k, "a"), random(k * n, "b"));
    let transpose = |x: &[f32], r: usize, c: usize| -> Vec<f32> {
        (0..r * c).map(|i| x[(i % r) * c + i / r]).collect()
    };
    let (at, bt) = (transpose(&a, m, k), transpose(&b, k, n));
    let want = |i: usize, j: usize| -> f64 {
        (0..k).map(|p| f64::from(a[i * k + p]) * f64::from(b[p * n + j])).sum()
    };
    let (ma, mb) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
    let (mat, mbt) = (Mat::new(&at, k, m).t(), Mat::new(&bt, n, k).t());
    for (x, y) in [(ma, mb), (mat, mb), (ma, mbt), (mat, mbt)] {
        let mut out = vec![1.0; m * (n + 2)];
        product(&mut out, n + 2, Into::Add, x, y);
        for i in 0..m {
            for j in 0..n {
                let got = f64::from(out[i * (n + 2) + j]);
                assert!((got - 1.0 - want(i, j)).abs() < 1e-4, "({i}, {j})");
            }
            assert_eq!(out[i * (n + 2) + n], 1.0, "beyond the matrix");
        }
    }
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    for (k, n) in [(192, 576), (768, 512), (128, 100), (216, 24)] {
        let (a, b) = (random(208 * k, "a"), random(k * n, "b"));
        let mut all = vec![0.0; 208 * n];
        product(&mut all, n, Into::Set, Mat::new(&a, 208, k), Mat::new(&b, n, k).t());
        for (start, len) in [(0, 1), (207, 1), (3, 2), (5, 7), (100, 100), (1, 33)] {
            let mut part = vec![0.0; len * n];
            let rows = Mat::new(&a[start * k..], len, k);
            product(&mut part, n, Into::Set, rows, Mat::new(&b, n, k).t());
            assert!(part == all[start * n..(start + len) * n], "{k}×{n}, rows {start}+{len}");
        }
    }
}
