//go:build wasip1

package sdk

// NewGuard makes a guard of its configuration, and uses it once, while the module initializes: every call starts from the
// state after that, with the guard's tables and the memory it needs there already. It returns what the export guard calls:
//
//	var serve = sdk.NewGuard(mine.New)
//
//	//go:wasmexport guard
//	func guard() int32 { return serve() }
//
// A configuration that New refuses fails each call with its error.
func NewGuard[G interface {
	Judge(*GuardRequest) Verdict
}](create func(config func(key string) (string, bool)) (G, error)) func() int32 {
	guard, fault := create(Config)
	if fault == nil {
		req := GuardRequest{Stage: StageInput, Role: "user", Text: "Write to nobody about nothing, on 2 of 3 days.", Final: true}
		var again GuardRequest
		fault = again.ParseJSON(req.AppendJSON(nil))
		v := guard.Judge(&again)
		v.AppendJSON(nil)
	}
	return func() int32 {
		return HandleGuard(func(req *GuardRequest) (Verdict, error) {
			if fault != nil {
				return Verdict{}, fault
			}
			return guard.Judge(req), nil
		})
	}
}
