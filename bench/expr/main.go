// Conditions evaluates what it reads, one JSON value a line, as a controller that embeds expr-lang does.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
)

// A result is a text for a scalar, a list of texts for a vector: JSON has neither NaN nor infinity.
type question struct {
	Condition string `json:"condition"`
	Result    any    `json:"result"`
}

type answer struct {
	Holds *bool  `json:"holds,omitempty"`
	Error string `json:"error,omitempty"`
}

func number(text any) float64 {
	found, err := strconv.ParseFloat(text.(string), 64)
	if err != nil {
		panic(err)
	}
	return found
}

func values(result any) any {
	listed, isList := result.([]any)
	if !isList {
		return number(result)
	}
	found := make([]float64, 0, len(listed))
	for _, one := range listed {
		found = append(found, number(one))
	}
	return found
}

func asInt(given any) int64 {
	switch found := given.(type) {
	case float64:
		return int64(found)
	case int64:
		return found
	case int:
		return int64(found)
	case string:
		whole, err := strconv.ParseInt(found, 10, 64)
		if err == nil {
			return whole
		}
		panic(err)
	}
	panic(fmt.Sprintf("asInt() not supported on %T %v", given, given))
}

func asFloat(given any) float64 {
	switch found := given.(type) {
	case float64:
		return found
	case int64:
		return float64(found)
	case int:
		return float64(found)
	case string:
		real, err := strconv.ParseFloat(found, 64)
		if err == nil {
			return real
		}
		panic(err)
	}
	panic(fmt.Sprintf("asFloat() not supported on %T %v", given, given))
}

// Plain leaves out where in the condition an error is, as the controller does.
func plain(err error) error {
	var placed *file.Error
	if errors.As(err, &placed) {
		return errors.New(placed.Message)
	}
	return err
}

func evaluate(asked question) (bool, error) {
	surroundings := map[string]any{
		"result":  values(asked.Result),
		"asInt":   asInt,
		"asFloat": asFloat,
		"isNaN":   math.IsNaN,
		"isInf":   func(value float64) bool { return math.IsInf(value, 0) },
		// Neither looks at its first argument, and a result of Prometheus is never nil.
		"isNil":   func(any) bool { return false },
		"default": func(any, any) any { return values(asked.Result) },
	}
	program, err := expr.Compile(asked.Condition, expr.Env(surroundings))
	if err != nil {
		return false, plain(err)
	}
	output, err := expr.Run(program, surroundings)
	if err != nil {
		return false, plain(err)
	}
	if holds, isBool := output.(bool); isBool {
		return holds, nil
	}
	return false, fmt.Errorf("expected bool, but got %T", output)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		found := answer{}
		if holds, err := evaluate(asked); err != nil {
			found.Error = err.Error()
		} else {
			found.Holds = &holds
		}
		if err := out.Encode(found); err != nil {
			panic(err)
		}
	}
}
