package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
)

// worker is the environment variable that tells a child process what it is.
const worker = "ORACLE_WORKER"

// watched makes rows in a child process, since some templates end Helm's: a map that holds itself overflows Go's stack,
// which nothing recovers from. Each row has a seed of its own, so that the next child goes on after the row that ended
// the last one, and any row can be made again.
func watched(room string, count int, seed int64, out *json.Encoder) error {
	for end := seed + int64(count); seed < end; {
		next, err := rows(room, end, seed, out)
		if err != nil {
			return err
		}
		if next < end {
			if err := out.Encode(row{"seed": next, "unstable": "ends helm"}); err != nil {
				return err
			}
			next++
		}
		seed = next
	}
	return nil
}

// rows copies what one child makes, and returns the seed of the first row that it did not make.
func rows(room string, end, seed int64, out *json.Encoder) (int64, error) {
	child := exec.Command(os.Args[0], room, strconv.FormatInt(end-seed, 10), strconv.FormatInt(seed, 10))
	child.Env = append(os.Environ(), worker+"=1", "GOMEMLIMIT=2GiB", "TZ=UTC")
	lines, err := child.StdoutPipe()
	if err != nil {
		return seed, err
	}
	if err := child.Start(); err != nil {
		return seed, err
	}
	reader := bufio.NewScanner(lines)
	reader.Buffer(nil, 64<<20)
	for reader.Scan() {
		if err := out.Encode(json.RawMessage(reader.Bytes())); err != nil {
			return seed, err
		}
		seed++
	}
	if err := reader.Err(); err != nil {
		return seed, err
	}
	// That it ended badly shows in the rows that are missing.
	_ = child.Wait()
	return seed, nil
}
