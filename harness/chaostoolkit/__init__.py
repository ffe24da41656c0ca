"""The bridge to Chaos Toolkit, thin: faults as actions, and a control that brings engine, load and objectives."""
