module conditions

go 1.22

require github.com/antonmedv/expr v1.15.5
