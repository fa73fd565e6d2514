package main

import (
	"context"
	"math"
	"slices"
)

const (
	// damping is the share of a sentence's score that comes from the others (Mihalcea and Tarau,
	// "TextRank: Bringing Order into Texts", EMNLP 2004).
	damping = 0.85
	// tolerance ends the iteration, when the scores, which add up to 1, change by less in all.
	tolerance = 1e-9
)

// maxRounds always suffices: the change shrinks to damping of itself, or less, in each round.
var maxRounds = int(math.Ceil(math.Log(tolerance/2) / math.Log(damping)))

// An edge leads to a sentence that another one is like, and says how much.
type edge struct {
	to     int32
	weight float64
}

// rank gives each sentence its score; they add up to 1. A sentence is as important as the sentences
// that it shares words with. Time and memory grow with the square of their number; it ends early
// with the context.
func rank(ctx context.Context, found []sentence) ([]float64, error) {
	graph, err := edges(ctx, found)
	if err != nil {
		return nil, err
	}
	strengths := make([]float64, len(graph))
	for i, all := range graph {
		for _, e := range all {
			strengths[i] += e.weight
		}
	}
	base := (1 - damping) / float64(len(found))
	scores := make([]float64, len(found))
	for i := range scores {
		scores[i] = 1 / float64(len(found))
	}
	perWeight := make([]float64, len(found))
	for range maxRounds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		// Each hands its score on, in proportion to its similarities. One that is like no other hands
		// nothing on.
		for i, strength := range strengths {
			perWeight[i] = 0
			if strength > 0 {
				perWeight[i] = scores[i] / strength
			}
		}
		changed := 0.0
		for i, all := range graph {
			received := 0.0
			for _, e := range all {
				received += e.weight * perWeight[e.to]
			}
			score := base + damping*received
			changed += math.Abs(score - scores[i])
			scores[i] = score
		}
		if changed < tolerance {
			break
		}
	}
	whole := 0.0
	for _, score := range scores {
		whole += score
	}
	for i := range scores {
		scores[i] /= whole
	}
	return scores, nil
}

// edges finds which sentences share words: shared words / (log of one's length + log of the other's).
func edges(ctx context.Context, found []sentence) ([][]edge, error) {
	words := numbered(found)
	graph := make([][]edge, len(found))
	for i := range found {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for j := range i {
			shared := common(words[i], words[j])
			logs := math.Log(float64(found[i].length)) + math.Log(float64(found[j].length))
			// Two sentences of one word each: the formula would divide by 0.
			if shared == 0 || logs == 0 {
				continue
			}
			weight := float64(shared) / logs
			graph[i] = append(graph[i], edge{int32(j), weight})
			graph[j] = append(graph[j], edge{int32(i), weight})
		}
	}
	return graph, nil
}

// numbered gives each word a number, and each sentence the numbers of its words, in order.
func numbered(found []sentence) [][]int {
	numbers := map[string]int{}
	all := make([][]int, len(found))
	for i, each := range found {
		for word := range each.words {
			number, known := numbers[word]
			if !known {
				number = len(numbers)
				numbers[word] = number
			}
			all[i] = append(all[i], number)
		}
		slices.Sort(all[i])
	}
	return all
}

// common counts what two ordered lists have in common.
func common(a, b []int) int {
	count := 0
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			count++
			a, b = a[1:], b[1:]
		}
	}
	return count
}
