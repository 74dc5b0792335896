// The same templates with Go's text/template: see render_bench.rs beside this file, which builds and runs it.
//
// Arguments: a file with a template, and one for its output. Prints the nanoseconds of one rendering.
package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"text/template"
	"time"
)

const (
	batches = 250
	batch   = 2 * time.Millisecond
	// Renderings between looks at the clock.
	betweenLooks = 16
)

func number(value any) int {
	switch value := value.(type) {
	case int:
		return value
	case string:
		parsed, _ := strconv.Atoi(value)
		return parsed
	}
	return 0
}

// With the parameters that the templates give, so that calls cost Go no more than they must.
var functions = template.FuncMap{
	"Udid":                  func() string { return "8b4ec2c4-9c4e-4a6e-8f52-2f8e0ad01f5c" },
	"SeededUdid":            func(any) string { return "a2bb2c1e-1d67-4c5e-9a6f-000000000001" },
	"RandName":              func() string { return "Frances" },
	"SeededName":            func(any) string { return "Frances" },
	"SeededCity":            func(any) string { return "Lisbon" },
	"RandCity":              func() string { return "Lisbon" },
	"RandEmail":             func() string { return "frances.word@host.com" },
	"RandPhone":             func() string { return "1-408-555-2671" },
	"RandString":            func(int) string { return "aZ3kP0qLm2Xc9VbN4tRe" },
	"RandStringMinMax":      func(int, int) string { return "alpha_beta_gamma" },
	"RandStringArrayMinMax": func(int, int) string { return `["a_b_c","d_e_f"]` },
	"RandRegex":             func(string) string { return "ACfa55acdee1c4fa55acdee1c4fa55ac" },
	"RandSentence":          func(int, int) string { return "Lorem ipsum dolor." },
	"RandParagraph":         func(int, int) string { return "Lorem ipsum dolor. Sit amet consectetur. Elit sed do." },
	"Time":                  func() string { return "2023-07-04T15:04:05Z" },
	"TimeFormat":            func(string) string { return "3:04PM" },
	"EnumString":            func(string) string { return "ONE" },
	"EnumInt":               func(...int) int { return 20 },
	"SeededFileLine":        func(string, any) string { return `"line": "one"` },
	"FileProperty":          func(string, string) string { return "token" },
	"JSONFileProperty":      func(string, string) string { return "12" },
	"RandNumMax":            func(int) int { return 417 },
	"RandNumMinMax":         func(int, int) int { return 2077 },
	"RandBool":              func() bool { return true },
	"SeededBool":            func(any) bool { return true },
	"LastIter":              func(at, count any) bool { return number(at) == number(count)-1 },
	"Add":                   func(a, b any) int { return number(a) + number(b) },
	"NthRequest":            func(n int) bool { return 7%n == 0 },
	"GERequest":             func(n int) bool { return 7 >= n },
	"Iterate": func(count any) []int {
		numbers := make([]int, number(count))
		for at := range numbers {
			numbers[at] = at
		}
		return numbers
	},
	"Dict": func(pairs ...any) map[string]any {
		dict := make(map[string]any, len(pairs)/2)
		for at := 0; at+1 < len(pairs); at += 2 {
			dict[fmt.Sprint(pairs[at])] = pairs[at+1]
		}
		return dict
	},
}

var data = map[string]any{
	"id": "cus_123", "page": "1", "pageSize": "10", "Page": "2", "PageSize": "10", "ETag": `"abc"`,
	"SleepSecs": "0", "customer": "cus_123", "Nonce": 5,
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	parsed := template.Must(template.New("t").Funcs(functions).Parse(string(text)))
	var out bytes.Buffer
	render := func() {
		out.Reset()
		if err := parsed.Execute(&out, data); err != nil {
			panic(err)
		}
	}
	best := int64(1) << 62
	for range batches {
		rounds := int64(0)
		start := time.Now()
		for time.Since(start) < batch {
			for range betweenLooks {
				render()
			}
			rounds += betweenLooks
		}
		best = min(best, time.Since(start).Nanoseconds()/rounds)
	}
	if err := os.WriteFile(os.Args[2], out.Bytes(), 0o600); err != nil {
		panic(err)
	}
	fmt.Println(best)
}
