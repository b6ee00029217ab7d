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

#[test]
fn windows_are_what_unfolding_would_give() {
    // Segments shorter than, equal to and longer than a block of rows, and a summed axis that takes two visits.
    for (segment, segments, line, positions, n) in
        [(3, 3, 40, 21, 5), (8, 2, 30, 9, 16), (27, 3, 60, 40, 50), (700, 4, 900, 10, 24)]
    {
        let starts: Vec<u32> = (0..positions as u32).map(|i| i * 2 + i / 4).collect();
        let len = positions * 3 + segments * line + segment;
        let data = random(len, "pictures");
        let windows =
            Windows { data: &data, starts: &starts, segments, segment, line, transposed: false };
        let window = segments * segment;
        let mut unfolded = Vec::new();
        for &start in &starts {
            for s in 0..segments {
                unfolded.extend_from_slice(&data[start as usize + s * line..][..segment]);
            }
        }
        let plain = Mat::new(&unfolded, positions, window);
        let (b, d) = (random(window * n, "b"), random(positions * n, "d"));
        let (mut got, mut want) = (vec![0.5; positions * n], vec![0.5; positions * n]);
        product(&mut got, n, Into::Add, windows, Mat::new(&b, window, n));
        product(&mut want, n, Into::Add, plain, Mat::new(&b, window, n));
        assert!(close(&got, &want), "{segments}×{segment}");
        let (mut got, mut want) = (vec![0.0; window * n], vec![0.0; window * n]);
        product(&mut got, n, Into::Set, windows.t(), Mat::new(&d, positions, n));
        product(&mut want, n, Into::Set, plain.t(), Mat::new(&d, positions, n));
        assert!(close(&got, &want), "{segments}×{segment} transposed");
        want[window * n - 1] += 1e-2;
        assert!(!close(&got, &want), "the comparison can fail");
    }
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * (1.0 + b.abs()))
}
