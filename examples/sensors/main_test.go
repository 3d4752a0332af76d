package main

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestSensors(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out strings.Builder
	if err := run(ctx, config{run: "all", sensors: 20, readings: 3, every: 50 * time.Millisecond}, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "60 readings of 20 sensors") {
		t.Errorf("the reader says:\n%s", out.String())
	}
}
