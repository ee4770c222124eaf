// Returns the health of resources as GitOps controllers see it: Flux by kstatus, Argo CD by a Lua script in gopher-lua.
//
// gitops SCRIPT < [object, …] > [{"kstatus": …, "kstatusMessage": …, "argocd": …, "argocdMessage": …}, …]
package main

import (
	"encoding/json"
	"fmt"
	"os"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type health struct {
	Kstatus        string `json:"kstatus"`
	KstatusMessage string `json:"kstatusMessage"`
	Argocd         string `json:"argocd"`
	ArgocdMessage  string `json:"argocdMessage"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gitops:", err)
		os.Exit(1)
	}
}

func run() error {
	script, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	var objects []map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		return err
	}
	answers := []health{}
	for _, object := range objects {
		answer, err := check(string(script), object)
		if err != nil {
			return err
		}
		answers = append(answers, answer)
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func check(script string, object map[string]any) (health, error) {
	found, err := status.Compute(&unstructured.Unstructured{Object: integers(object).(map[string]any)})
	if err != nil {
		return health{}, err
	}
	word, message, err := argocd(script, object)
	if err != nil {
		return health{}, err
	}
	return health{string(found.Status), found.Message, word, message}, nil
}

// Like Argo CD: a script with the global `obj` and only the harmless libraries.
func argocd(script string, object map[string]any) (string, string, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(library.open), Protect: true}, lua.LString(library.name)); err != nil {
			return "", "", err
		}
	}
	state.SetGlobal("obj", decode(state, object))
	if err := state.DoString(script); err != nil {
		return "", "", err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return "", "", fmt.Errorf("the script returned %s, not a table", state.Get(-1).Type())
	}
	return lua.LVAsString(table.RawGetString("status")), lua.LVAsString(table.RawGetString("message")), nil
}

func decode(state *lua.LState, value any) lua.LValue {
	switch typed := value.(type) {
	case bool:
		return lua.LBool(typed)
	case float64:
		return lua.LNumber(typed)
	case string:
		return lua.LString(typed)
	case []any:
		table := state.NewTable()
		for _, each := range typed {
			table.Append(decode(state, each))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, each := range typed {
			table.RawSetString(key, decode(state, each))
		}
		return table
	}
	return lua.LNil
}

// Kubernetes' own decoder gives whole numbers as int64, which unstructured's readers insist on.
func integers(value any) any {
	switch typed := value.(type) {
	case float64:
		if typed == float64(int64(typed)) {
			return int64(typed)
		}
	case []any:
		whole := make([]any, len(typed))
		for index, each := range typed {
			whole[index] = integers(each)
		}
		return whole
	case map[string]any:
		whole := map[string]any{}
		for key, each := range typed {
			whole[key] = integers(each)
		}
		return whole
	}
	return value
}
