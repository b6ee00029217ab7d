//! What can stand on the left of a product: rows in memory, their transpose, windows of a convolution.

/// A row-major matrix inside a slice, or its transpose.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a> {
    pub(super) data: &'a [f32],
    rows: usize,
    columns: usize,
    pub(super) stride: usize,
    pub(super) transposed: bool,
}

impl<'a> Mat<'a> {
    /// `rows`×`columns`, rows following each other.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// `rows`×`columns` with `stride` elements from row to row.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        Self { data, rows, columns, stride, transposed: false }
    }

    /// The transpose, without moving anything.
    #[must_use]
    pub fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    /// Rows and columns as seen by a product.
    pub(super) fn shape(&self) -> (usize, usize) {
        if self.transposed { (self.columns, self.rows) } else { (self.rows, self.columns) }
    }
}

/// The windows of a convolution over padded pictures as a matrix of positions × window, without unfolding them:
/// row i consists of `segments` pieces of `segment` elements, `line` elements apart, the first at `starts[i]`.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) starts: &'a [u32],
    pub(crate) segments: usize,
    pub(crate) segment: usize,
    pub(crate) line: usize,
    pub(crate) transposed: bool,
}

impl Windows<'_> {
    /// The transpose, without moving anything.
    #[must_use]
    pub fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }
}

/// The left side of a product.
#[derive(Clone, Copy, Debug)]
pub enum Left<'a> {
    /// Rows in memory, or their transpose.
    Mat(Mat<'a>),
    /// Overlapping rows, or their transpose.
    Windows(Windows<'a>),
}

impl<'a> From<Mat<'a>> for Left<'a> {
    fn from(mat: Mat<'a>) -> Self {
        Self::Mat(mat)
    }
}

impl<'a> From<Windows<'a>> for Left<'a> {
    fn from(windows: Windows<'a>) -> Self {
        Self::Windows(windows)
    }
}

impl<'a> Left<'a> {
    #[inline(always)]
    pub(super) fn is_transposed(&self) -> bool {
        match self {
            Self::Mat(mat) => mat.transposed,
            Self::Windows(windows) => windows.transposed,
        }
    }

    /// Where the rows from `i` on begin of what is not transposed; the last of `rows` again behind it.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "a closure would not be inlined")]
    pub(super) fn starts<const ROWS: usize>(
        &self,
        i: usize,
        rows: usize,
    ) -> (&'a [f32], [usize; ROWS]) {
        let mut starts = [0; ROWS];
        for r in 0..ROWS {
            let row = i + r.min(rows - 1);
            starts[r] = match self {
                Self::Mat(mat) => row * mat.stride,
                Self::Windows(windows) => windows.starts[row] as usize,
            };
        }
        match self {
            Self::Mat(mat) => (mat.data, starts),
            Self::Windows(windows) => (windows.data, starts),
        }
    }

    pub(super) fn shape(&self) -> (usize, usize) {
        match self {
            Self::Mat(mat) => mat.shape(),
            Self::Windows(w) => {
                let (rows, columns) = (w.starts.len(), w.segments * w.segment);
                if w.transposed { (columns, rows) } else { (rows, columns) }
            }
        }
    }
}
