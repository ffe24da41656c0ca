"""The canary's judge beside the live controller: drawn templates, answers by script, what each makes of them."""
