//! TextRank: a sentence is as important as the sentences that it shares words with.
//!
//! After Mihalcea and Tarau, "TextRank: Bringing Order into Texts", EMNLP 2004.

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;

use super::text::Sentence;

/// The share of a sentence's score that comes from the others; the paper's value.
const DAMPING: f64 = 0.85;

/// The iteration ends when the scores, which add up to 1, change by less than this in all.
const TOLERANCE: f64 = 1e-9;

/// A sentence that another one is like, and how much.
type Edge = (u32, f64);

/// The score of each sentence; they add up to 1. Nothing when nobody wants them any more. Time and memory
/// grow with the square of the number of sentences.
pub fn rank(sentences: &[Sentence], unwanted: &CancellationToken) -> Option<Vec<f64>> {
    let graph = edges(sentences, unwanted)?;
    let count = sentences.len() as f64;
    let strengths: Vec<f64> =
        graph.iter().map(|all| all.iter().map(|(_, weight)| weight).sum()).collect();
    let base = (1.0 - DAMPING) / count;
    let mut scores = vec![1.0 / count; sentences.len()];
    // The change shrinks to DAMPING of itself, or less, in each round: so many always suffice.
    let rounds = ((TOLERANCE / 2.0).ln() / DAMPING.ln()).ceil() as usize;
    for _ in 0..rounds {
        if unwanted.is_cancelled() {
            return None;
        }
        // Each hands its score on, in proportion to its similarities. One that is like no other hands
        // nothing on.
        let per_weight: Vec<f64> = scores
            .iter()
            .zip(&strengths)
            .map(|(score, strength)| if *strength > 0.0 { score / strength } else { 0.0 })
            .collect();
        let received = |all: &[Edge]| -> f64 {
            all.iter().map(|(to, weight)| weight * per_weight[*to as usize]).sum()
        };
        let next: Vec<f64> = graph.iter().map(|all| base + DAMPING * received(all)).collect();
        let changed: f64 = scores.iter().zip(&next).map(|(old, new)| (old - new).abs()).sum();
        scores = next;
        if changed < TOLERANCE {
            break;
        }
    }
    let whole: f64 = scores.iter().sum();
    Some(scores.into_iter().map(|score| score / whole).collect())
}

/// Which sentences share words: shared words / (log of one's length + log of the other's).
fn edges(sentences: &[Sentence], unwanted: &CancellationToken) -> Option<Vec<Vec<Edge>>> {
    let words = numbered(sentences);
    let logs: Vec<f64> = sentences.iter().map(|each| (each.length as f64).ln()).collect();
    let mut graph = vec![Vec::new(); sentences.len()];
    for at in 0..sentences.len() {
        if unwanted.is_cancelled() {
            return None;
        }
        for other in 0..at {
            let shared = common(&words[at], &words[other]);
            let both = logs[at] + logs[other];
            // Two sentences of one word each: the formula would divide by 0.
            if shared > 0 && both > 0.0 {
                let weight = shared as f64 / both;
                graph[at].push((other as u32, weight));
                graph[other].push((at as u32, weight));
            }
        }
    }
    Some(graph)
}

/// Gives each word a number, and each sentence the numbers of its words, in order.
fn numbered(sentences: &[Sentence]) -> Vec<Vec<usize>> {
    let mut numbers = HashMap::new();
    sentences
        .iter()
        .map(|sentence| {
            let mut own: Vec<_> = sentence
                .words
                .iter()
                .map(|word| {
                    let next = numbers.len();
                    *numbers.entry(word.as_str()).or_insert(next)
                })
                .collect();
            own.sort_unstable();
            own
        })
        .collect()
}

/// How many two ordered lists have in common.
fn common(one: &[usize], other: &[usize]) -> usize {
    let (mut a, mut b, mut count) = (0, 0, 0);
    while a < one.len() && b < other.len() {
        match one[a].cmp(&other[b]) {
            std::cmp::Ordering::Less => a += 1,
            std::cmp::Ordering::Greater => b += 1,
            std::cmp::Ordering::Equal => {
                count += 1;
                a += 1;
                b += 1;
            }
        }
    }
    count
}
