//! The symmetric contrastive loss of CLIP over host embeddings, with its gradient.
//!
//! L = ½·[CE(rows of S) + CE(columns of S)], S = eˢ·Û·V̂ᵀ, where s is `logit_scale` and Û, V̂ are the rows
//! of both embeddings divided by max(‖row‖, 1e-12). Embeddings are small beside the towers, so the loss
//! lives on the host whatever executor ran them, and every training rule uses this one seam.

use super::matmul::{Into, Mat, product};
use super::simd::{dot, exp, fma, max, simd, sum};

/// Loss and gradients of one batch.
#[derive(Debug)]
pub struct Contrastive {
    /// Mean over the batch, both directions.
    pub loss: f32,
    /// With respect to the image embeddings before normalisation (B, D).
    pub d_image: Vec<f32>,
    /// With respect to the text embeddings before normalisation (B, D).
    pub d_text: Vec<f32>,
    /// With respect to `logit_scale`.
    pub d_logit_scale: f32,
}

/// Evaluates loss and gradients for (B, D) embeddings of which row i of one belongs to row i of the other.
pub fn contrastive(image: &[f32], text: &[f32], width: usize, logit_scale: f32) -> Contrastive {
    let batch = image.len() / width;
    let (u, u_norm) = normalize(image, width);
    let (v, v_norm) = normalize(text, width);
    let mut cosine = vec![0.0; batch * batch];
    product(
        &mut cosine,
        batch,
        Into::Set,
        Mat::new(&u, batch, width),
        Mat::new(&v, batch, width).t(),
    );
    let scale = logit_scale.exp();
    let mut d_cosine = vec![0.0; batch * batch];
    let rows = softmax_gradient(&cosine, batch, scale, &mut d_cosine);
    let transposed = transpose(&cosine, batch);
    let mut d_transposed = vec![0.0; batch * batch];
    let columns = softmax_gradient(&transposed, batch, scale, &mut d_transposed);
    let d_transposed = transpose(&d_transposed, batch);
    d_cosine.iter_mut().zip(&d_transposed).for_each(|(a, b)| *a += b);
    let d_logit_scale = dot(&d_cosine, &cosine);
    let grad = |d: Mat<'_>, other: &[f32], own: &[f32], norms: &[f32]| {
        let mut out = vec![0.0; batch * width];
        product(&mut out, width, Into::Set, d, Mat::new(other, batch, width));
        normalize_backward(own, norms, width, &mut out);
        out
    };
    let d = Mat::new(&d_cosine, batch, batch);
    Contrastive {
        loss: ((rows + columns) / (2.0 * batch as f64)) as f32,
        d_image: grad(d, &v, &u, &u_norm),
        d_text: grad(d.t(), &u, &v, &v_norm),
        d_logit_scale,
    }
}

/// Half of one direction alone, ½·CE(rows of S), S = eˢ·Û·V̂ᵀ, with Û of `from` and V̂ of `to`, which are what the gradients
/// call image and text.
pub fn one_way(from: &[f32], to: &[f32], width: usize, logit_scale: f32) -> Contrastive {
    let batch = from.len() / width;
    let (u, u_norm) = normalize(from, width);
    let (v, v_norm) = normalize(to, width);
    let mut cosine = vec![0.0; batch * batch];
    let (rows, columns) = (Mat::new(&u, batch, width), Mat::new(&v, batch, width));
    product(&mut cosine, batch, Into::Set, rows, columns.t());
    let mut d_cosine = vec![0.0; batch * batch];
    let total = softmax_gradient(&cosine, batch, logit_scale.exp(), &mut d_cosine);
    let d = Mat::new(&d_cosine, batch, batch);
    let grad = |d: Mat<'_>, other: Mat<'_>, own: &[f32], norms: &[f32]| {
        let mut out = vec![0.0; batch * width];
        product(&mut out, width, Into::Set, d, other);
        normalize_backward(own, norms, width, &mut out);
        out
    };
    Contrastive {
        loss: (total / (2.0 * batch as f64)) as f32,
        d_image: grad(d, columns, &u, &u_norm),
        d_text: grad(d.t(), rows, &v, &v_norm),
        d_logit_scale: dot(&d_cosine, &cosine),
    }
}

/// Rows divided by max(‖row‖, 1e-12), and these divisors.
pub fn normalize(x: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let mut out = x.to_vec();
    let mut norms = vec![0.0; x.len() / width];
    normalize_rows(&mut out, width, &mut norms);
    (out, norms)
}

fn transpose(x: &[f32], n: usize) -> Vec<f32> {
    (0..n * n).map(|i| x[(i % n) * n + i / n]).collect()
}

simd! {
    fn normalize_rows(x: &mut [f32], width: usize, norms: &mut [f32]) {
        for (row, norm) in x.chunks_exact_mut(width).zip(norms) {
            *norm = dot(row, row).sqrt().max(1e-12);
            let inverse = 1.0 / *norm;
            row.iter_mut().for_each(|v| *v *= inverse);
        }
    }

    /// From the gradient of unit rows to that of the rows, dx = (dû − û·⟨û, dû⟩) / ‖x‖, in place.
    pub fn normalize_backward(unit: &[f32], norms: &[f32], width: usize, d: &mut [f32]) {
        for ((u, d), norm) in unit.chunks_exact(width).zip(d.chunks_exact_mut(width)).zip(norms) {
            let along = dot(u, d);
            let inverse = 1.0 / *norm;
            for (d, u) in d.iter_mut().zip(u) {
                *d = (*d - u * along) * inverse;
            }
        }
    }

    /// Sum over rows of the cross-entropy with the diagonal; `d` gets its gradient with respect to the
    /// cosines, halved and divided by the batch, the scale included. Overwrites nothing else.
    fn softmax_gradient(cosine: &[f32], n: usize, scale: f32, d: &mut [f32]) -> f64 {
        let mut total = 0.0f64;
        let weight = 0.5 / n as f32;
        for (i, (row, d)) in cosine.chunks_exact(n).zip(d.chunks_exact_mut(n)).enumerate() {
            let top = max(row) * scale;
            for (d, c) in d.iter_mut().zip(row) {
                *d = exp(fma(*c, scale, -top));
            }
            let mass = sum(d);
            total += f64::from(mass.ln() + top - row[i] * scale);
            let factor = scale * weight / mass;
            d.iter_mut().for_each(|v| *v *= factor);
            d[i] -= scale * weight;
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn batch(name: &str, n: usize) -> Vec<f32> {
        let mut s = Seed::new(5).child(name).stream();
        (0..n).map(|_| s.normal()).collect()
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (b, w, s) = (5, 7, 1.5);
        let (image, text) = (batch("i", b * w), batch("t", b * w));
        let c = contrastive(&image, &text, w, s);
        let h = 1e-2;
        let loss =
            |image: &[f32], text: &[f32], s: f32| f64::from(contrastive(image, text, w, s).loss);
        let slope = |up: f64, down: f64| ((up - down) / (2.0 * f64::from(h))) as f32;
        for i in 0..b * w {
            let moved = |x: &[f32], by: f32| {
                let mut x = x.to_vec();
                x[i] += by;
                x
            };
            let want = slope(loss(&moved(&image, h), &text, s), loss(&moved(&image, -h), &text, s));
            assert!((c.d_image[i] - want).abs() < 1e-3, "image {i}: {} or {want}", c.d_image[i]);
            let want = slope(loss(&image, &moved(&text, h), s), loss(&image, &moved(&text, -h), s));
            assert!((c.d_text[i] - want).abs() < 1e-3, "text {i}: {} or {want}", c.d_text[i]);
        }
        let want = slope(loss(&image, &text, s + h), loss(&image, &text, s - h));
        assert!((c.d_logit_scale - want).abs() < 1e-3);
    }

    #[test]
    fn two_halves_are_the_whole() {
        let (b, w, s) = (6, 5, 1.2);
        let (image, text) = (batch("i", b * w), batch("t", b * w));
        let whole = contrastive(&image, &text, w, s);
        let (to, back) = (one_way(&image, &text, w, s), one_way(&text, &image, w, s));
        assert!((whole.loss - to.loss - back.loss).abs() < 1e-6);
        assert!((whole.d_logit_scale - to.d_logit_scale - back.d_logit_scale).abs() < 1e-6);
        for i in 0..b * w {
            assert!((whole.d_image[i] - to.d_image[i] - back.d_text[i]).abs() < 1e-6);
            assert!((whole.d_text[i] - to.d_text[i] - back.d_image[i]).abs() < 1e-6);
        }
    }

    #[test]
    fn identical_embeddings_cost_ln_of_the_batch() {
        let x = [1.0f32, 0.0].repeat(4);
        assert!((contrastive(&x, &x, 2, 0.0).loss - 4f32.ln()).abs() < 1e-6);
        let zero = [0.0; 8];
        assert!(contrastive(&zero, &x, 2, 0.0).d_image.iter().all(|v| v.is_finite()));
    }
}
