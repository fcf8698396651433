//! A list of named tensors with the distribution of their numbers.

/// A tensor to be written: its numbers have this mean and this spread (standard deviation).
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) mean: f32,
    pub(super) spread: f32,
}

impl Tensor {
    /// The number of elements.
    pub(super) fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Tensors in the order of a file.
#[derive(Default)]
pub(super) struct Tensors(pub(super) Vec<Tensor>);

impl Tensors {
    /// Any tensor.
    pub(super) fn add(&mut self, name: impl Into<String>, shape: &[usize], mean: f32, spread: f32) {
        let (name, shape) = (name.into(), shape.to_vec());
        self.0.push(Tensor { name, shape, mean, spread });
    }

    /// A matrix or a convolution kernel that keeps the magnitude of what passes through it.
    pub(super) fn weight(&mut self, name: impl Into<String>, shape: &[usize]) {
        let inputs: usize = shape[1..].iter().product();
        self.add(name, shape, 0.0, 1.0 / (inputs as f32).sqrt());
    }

    /// `NAME.weight` of `shape` with `NAME.bias`.
    pub(super) fn layer(&mut self, name: &str, shape: &[usize]) {
        self.weight(format!("{name}.weight"), shape);
        self.bias(name, shape[0]);
    }

    /// `NAME.bias`.
    pub(super) fn bias(&mut self, name: &str, width: usize) {
        self.add(format!("{name}.bias"), &[width], 0.0, 0.02);
    }

    /// A normalisation: a weight around 1 and a bias around 0.
    pub(super) fn norm(&mut self, name: &str, width: usize) {
        self.add(format!("{name}.weight"), &[width], 1.0, 0.05);
        self.bias(name, width);
    }

    /// A weight-normalised convolution in the new naming; each row of it has norm `gain`.
    pub(super) fn normed(&mut self, name: &str, shape: &[usize], width: usize, gain: f32) {
        self.bias(name, width);
        self.add(format!("{name}.parametrizations.weight.original0"), &[shape[0], 1, 1], gain, 0.02 * gain);
        self.weight(format!("{name}.parametrizations.weight.original1"), shape);
    }
}
