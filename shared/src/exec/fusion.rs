//! What a tower that is only read from computes together: a product and what follows it, where nobody else reads the product.

use crate::graph::{Act, Graph, Node, Op, ParamRows};

/// A linear layer or convolution with what is done to its result while that lies in the cache.
#[derive(Clone, Debug)]
pub(crate) struct Fused {
    /// The step of the product.
    pub product: usize,
    /// The step of a batch normalisation behind it.
    pub norm: Option<usize>,
    /// What is added then.
    pub residual: Option<Node>,
    /// What is applied at last.
    pub act: Option<Act>,
}

/// How one step of the graph is computed.
#[derive(Clone, Debug)]
pub(crate) enum Planned {
    /// By itself, as in training.
    Alone,
    /// Within a later step.
    Within,
    /// As the last step of a product.
    Product(Fused),
}

/// One entry a step.
pub(crate) fn plan(graph: &Graph) -> Vec<Planned> {
    let steps = graph.steps();
    let mut planned = vec![Planned::Alone; steps.len()];
    for (i, step) in steps.iter().enumerate() {
        let act = match &step.op {
            Op::Linear { act, .. } => *act,
            Op::Conv2d { .. } => None,
            _ => continue,
        };
        let mut fused = Fused { product: i, norm: None, residual: None, act };
        let mut end = i;
        while let Some(next) = only_reader(graph, end).filter(|_| fused.act.is_none()) {
            match &steps[next].op {
                Op::BatchNorm { act, .. } if fused.norm.is_none() && fused.residual.is_none() => {
                    fused.norm = Some(next);
                    fused.act = *act;
                }
                Op::Add { act } if fused.residual.is_none() => {
                    let other = steps[next].inputs.iter().find(|n| n.index() != end).copied();
                    // Another product may have taken this sum; and the result is written over what is added.
                    let taken = !matches!(planned[next], Planned::Alone);
                    if taken || other == Some(step.inputs[0]) {
                        break;
                    }
                    fused.residual = other;
                    fused.act = *act;
                }
                _ => break,
            }
            planned[end] = Planned::Within;
            end = next;
        }
        planned[end] = Planned::Product(fused);
    }
    planned
}

/// The step that reads `node`, if it is one, and reads it once.
fn only_reader(graph: &Graph, node: usize) -> Option<usize> {
    let reads = |(i, n): (usize, &Node)| (n.index() == node).then_some(i);
    let steps = graph.steps().iter().enumerate();
    let mut readers =
        steps.flat_map(|(i, s)| s.inputs.iter().map(move |n| (i, n))).filter_map(reads);
    let first = readers.next();
    first.filter(|_| readers.next().is_none())
}

/// The values that a planned step reads.
pub(crate) fn reads(graph: &Graph, planned: &Planned, step: usize) -> Vec<Node> {
    match planned {
        Planned::Alone => graph.steps()[step].inputs.clone(),
        Planned::Within => vec![],
        Planned::Product(fused) => {
            graph.steps()[fused.product].inputs.iter().copied().chain(fused.residual).collect()
        }
    }
}

/// Weight (out, inner) and bias of a product.
pub(crate) fn weight(graph: &Graph, product: usize) -> (ParamRows, Option<ParamRows>) {
    match &graph.steps()[product].op {
        Op::Linear { weight, bias, .. } => (*weight, *bias),
        Op::Conv2d { weight, .. } => (graph.all_rows(*weight), None),
        _ => unreachable!("only linear layers and convolutions are products"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoders::{Clip, library::find};

    fn of(encoder: &str) -> (Graph, Vec<Planned>) {
        let graph = Clip::build(&find(encoder).unwrap()).image;
        let planned = plan(&graph);
        (graph, planned)
    }

    #[test]
    fn batch_norm_and_sums_join_the_product_before_them() {
        for encoder in ["tiny-resnet", "tiny-rn"] {
            let (graph, planned) = of(encoder);
            for (step, planned) in graph.steps().iter().zip(&planned) {
                let alone = matches!(planned, Planned::Alone);
                let joins = matches!(
                    step.op,
                    Op::BatchNorm { .. } | Op::Add { .. } | Op::Linear { .. } | Op::Conv2d { .. }
                );
                assert_eq!(alone, !joins, "{encoder}: {}", step.path);
            }
        }
    }

    #[test]
    fn nothing_is_read_that_is_not_computed() {
        for encoder in ["tiny-vit", "tiny-resnet", "tiny-rn"] {
            let (graph, planned) = of(encoder);
            for (i, step) in planned.iter().enumerate() {
                for node in reads(&graph, step, i) {
                    assert!(
                        !matches!(planned[node.index()], Planned::Within),
                        "{encoder}: step {i}"
                    );
                    assert!(node.index() < i);
                }
            }
        }
    }
}
